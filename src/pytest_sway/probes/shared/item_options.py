"""Options that list a probe's items, and how ``--sway-limit`` shortens them.

A third-party kind derives its options from one of these, or overrides
:meth:`pytest_sway.probes.base.ProbeOptions.limited` itself.
"""

from __future__ import annotations

from typing import Annotated, Generic, Self, TypeVar

from pydantic import BaseModel, Field

from pytest_sway.probes.base import ProbeOptions

CaseT = TypeVar("CaseT", bound=BaseModel)

Positions = Annotated[int, Field(ge=1, le=1024)]
"""Over how many positions a divergence is averaged."""


class PromptOptions(ProbeOptions):
    """Options of a probe whose items are prompts."""

    prompts: list[str] = Field(min_length=1)

    def limited(self, limit: int) -> Self:
        """The first prompts."""
        return self.model_copy(update={"prompts": self.prompts[:limit]})


class CaseOptions(ProbeOptions, Generic[CaseT]):
    """Options of a probe whose items are cases, each with fields of its own."""

    cases: list[CaseT] = Field(min_length=1)

    def limited(self, limit: int) -> Self:
        """The first cases."""
        return self.model_copy(update={"cases": self.cases[:limit]})
