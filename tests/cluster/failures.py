"""The one exception whose text is meant for the person at the terminal."""


class ClusterError(Exception):
    """Something the cluster needs is missing or broke; the message says what and what to do."""
