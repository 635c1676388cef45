"""Carries PostgreSQL outbox tables to Kafka, managed by a Kubernetes operator."""

__version__ = "0.1.0"
