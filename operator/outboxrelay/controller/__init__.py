"""The operator: OutboxRelay objects in, Deployments and status out."""
