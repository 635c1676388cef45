"""make demo: the whole story on real parts, in front of a person, with a verdict at the end."""
