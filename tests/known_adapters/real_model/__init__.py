"""Adapters of known condition on a real model: ``python -m tests.known_adapters.real_model FOLDER``."""
