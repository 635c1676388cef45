"""The console: read-only pages of what the leader knows, for people behind `kubectl port-forward`.

Everything is answered from memory: no page asks the API server, a database, a broker or a pod.
"""
