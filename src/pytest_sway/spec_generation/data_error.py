"""What is wrong with a training file."""

from __future__ import annotations

from pytest_sway.user_error import UserError


class DataError(UserError):
    """A file that no spec can be made of; the message says why, and what to give instead."""
