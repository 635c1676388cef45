"""How many pods a relay should have: estimate what is needed, ask the gates, decide. Values and the time in, a decision
with its reason and its numbers out."""
