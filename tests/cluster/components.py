def is_built(): return True
