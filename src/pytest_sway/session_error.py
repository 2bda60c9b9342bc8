"""Why a run of pytest could not be made."""

from __future__ import annotations

from pytest_sway.user_error import UserError


class SessionError(UserError):
    """Nothing was measured; the message says why, in one line."""
