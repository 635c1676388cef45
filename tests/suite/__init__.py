"""The whole test suite: what is to be run, beside what, and how it is told."""
