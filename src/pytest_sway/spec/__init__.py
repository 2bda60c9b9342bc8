"""Reads a ``sway.yaml``: its text, where everything stands in it, and what is wrong with it."""
