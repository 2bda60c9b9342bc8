"""Why a pack cannot be written or read."""

from __future__ import annotations

from pytest_sway.user_error import UserError


class PackError(UserError):
    """A suite cannot be packed, or a file is no pack that may be unpacked; the message says why."""
