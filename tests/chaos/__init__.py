"""Randomised runs of relays between a real PostgreSQL pair and a real Kafka while things break.

Each is judged by the oracle. `make chaos-relay RUNS=n` runs n of them; `make chaos-relay RUNS=1 SEED=s` repeats the one
of seed s. What a seed decides is in `plan.py`, what each fault does in `faults.py`, what one run is in `run.py`.
"""
