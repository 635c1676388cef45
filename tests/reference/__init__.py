"""The generated part of docs/: `make reference` writes it, and a unit test compares it."""
