"""Why nothing can be mined."""

from __future__ import annotations


class MiningError(Exception):
    """A suite has nothing to mine, or too little; the message says what to give."""
