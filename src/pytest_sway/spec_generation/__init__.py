"""Writes a spec from an adapter and the data that it was trained on."""
