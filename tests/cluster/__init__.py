"""A real local cluster without a container engine: Kubernetes, PostgreSQL and Kafka in one network namespace.

Run as ``python3 -m tests.cluster COMMAND``; from tests, ``from tests.cluster import kafka, postgres``.
Only the standard library is used, so that it runs before anything of the project is installed.
"""
