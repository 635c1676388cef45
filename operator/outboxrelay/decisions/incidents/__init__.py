"""Incidents: kinds (thresholds), detect (facts → signals), reduce (signals → open and close), group (parents),
status (as written), notices and outbox (what is told to whom, and when again)."""
