"""Runs of the whole pipe: producers, a relay that is killed, consumers that are killed, repeats that are forced."""
