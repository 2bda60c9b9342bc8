"""Why a run of pytest could not be made."""

from __future__ import annotations


class SessionError(Exception):
    """Nothing was measured; the message says why, in one line."""
