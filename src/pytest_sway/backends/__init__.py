"""Backends: what answers requests. Each is imported where it is used."""
