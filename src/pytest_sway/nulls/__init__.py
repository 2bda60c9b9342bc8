"""Null adapters: random updates of the same size as the real one."""
