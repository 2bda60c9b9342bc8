"""Reads a ``sway.yaml``: its values, their lines and columns, and the problems in it."""
