"""The data plane: one process that carries rows of its shards to Kafka. It knows nothing of Kubernetes."""
