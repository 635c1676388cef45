"""PURE decisions: values and the time in, a decision with its reason out. No await, no clock, no I/O."""
