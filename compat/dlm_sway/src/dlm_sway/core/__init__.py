"""Errors and records."""
