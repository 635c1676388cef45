"""Speed and memory: figures and ratios of one run, printed and written to .bench/latest.json. Never tests."""
