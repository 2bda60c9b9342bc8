"""Options that list a probe's items, and how ``--sway-limit`` shortens them.

A third-party kind derives its options from one of these, or overrides
:meth:`pytest_sway.probes.base.ProbeOptions.limited` itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pytest_sway.probes.base import ProbeOptions

CaseT = TypeVar("CaseT", bound=BaseModel)

Positions = Annotated[int, Field(ge=1, le=1024)]
"""Over how many positions a divergence is averaged."""


def _or_mined(schema: dict[str, Any]) -> None:
    """In a JSON schema, an item may be a mined prompt."""
    schema["items"] = {"anyOf": [schema["items"], MinedPrompt.model_json_schema()]}


def _mined_prompt(value: Any) -> Any:
    """A mapping as a mined prompt, where it is one."""
    try:
        return MinedPrompt.model_validate(value) if isinstance(value, dict) else value
    except ValidationError:
        return value


class MinedPrompt(BaseModel):
    """A prompt as ``sway mine`` writes it; its numbers are a remark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    raw: float | None = None
    net: float | None = None
    index: int | None = None


class PromptOptions(ProbeOptions):
    """Options of a probe whose items are prompts."""

    prompts: list[str] = Field(min_length=1, json_schema_extra=_or_mined)
    mined: tuple[str, ...] = ()
    """Those of them that ``sway mine`` chose: entries that are written as a mapping with ``prompt``."""

    @model_validator(mode="before")
    @classmethod
    def _read_mined(cls, value: Any) -> Any:
        prompts = value.get("prompts") if isinstance(value, dict) else None
        if not isinstance(prompts, list):
            return value
        read = [_mined_prompt(one) for one in prompts]
        mined = [one.prompt for one in read if isinstance(one, MinedPrompt)]
        texts = [one.prompt if isinstance(one, MinedPrompt) else one for one in read]
        return {**value, "prompts": texts, "mined": mined} if mined else value

    @property
    def mined_items(self) -> int:
        return sum(prompt in self.mined for prompt in self.prompts)

    def limited(self, limit: int) -> Self:
        """The first prompts."""
        return self.model_copy(update={"prompts": self.prompts[:limit]})


class CaseOptions(ProbeOptions, Generic[CaseT]):
    """Options of a probe whose items are cases, each with fields of its own."""

    cases: list[CaseT] = Field(min_length=1)

    @property
    def mined_items(self) -> int:
        return sum(getattr(case, "mined", False) for case in self.cases)

    def limited(self, limit: int) -> Self:
        """The first cases."""
        return self.model_copy(update={"cases": self.cases[:limit]})
