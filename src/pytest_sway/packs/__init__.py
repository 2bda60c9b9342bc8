"""Packs: a suite as one file that a coworker can repeat, answers and result included."""
