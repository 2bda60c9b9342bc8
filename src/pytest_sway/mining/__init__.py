"""Harder questions for a suite: wordings that an adapter does not know, and prompts that it moves most."""
