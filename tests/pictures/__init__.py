"""What people see of a fleet, as pictures: `python3 -m tests.cluster run -- .venv/bin/python -m tests.pictures`."""
