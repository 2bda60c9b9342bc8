"""Why nothing can be mined."""

from __future__ import annotations

from pytest_sway.user_error import UserError


class MiningError(UserError):
    """A suite has nothing to mine, or too little; the message says what to give."""
