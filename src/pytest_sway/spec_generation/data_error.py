"""What is wrong with a training file."""

from __future__ import annotations


class DataError(Exception):
    """A file that no spec can be made of; the message says why, and what to give instead."""
