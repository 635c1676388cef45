"""The only code that talks to the outside: PostgreSQL, Kafka, Kubernetes, HTTP, the clock and files."""
