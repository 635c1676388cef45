"""The switch from Debezium to a relay, as docs/how-to/migrate-from-debezium.md describes it, really made."""
