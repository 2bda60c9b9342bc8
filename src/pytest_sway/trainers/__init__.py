"""Evaluates a model while it is trained, in the memory that it is trained in."""
