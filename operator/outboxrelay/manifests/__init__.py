"""PURE builders: a spec in, Kubernetes objects out, one module for each child."""
