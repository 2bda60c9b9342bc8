"""``context:`` of a question: the turns before it, as a spec writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from pytest_sway.requests import Turn
from pytest_sway.spec.schema import StrictModel


class ContextTurn(StrictModel):
    """A turn before a question: ``{role: system, content: …}``."""

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


def to_turns(context: Sequence[ContextTurn]) -> tuple[Turn, ...]:
    """The same turns as they are put to a model."""
    return tuple(Turn(turn.role, turn.content) for turn in context)
