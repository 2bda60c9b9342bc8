"""Backends of the user's own, named by ``entry_point``: those of pytest-sway and those of dlm-sway."""
