"""Options that list a probe's items, and how ``--sway-limit`` shortens them.

A third-party kind derives its options from one of these, or overrides
:meth:`pytest_sway.probes.base.ProbeOptions.limited` itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from pytest_sway.probes.base import ProbeOptions
from pytest_sway.probes.shared.question_case import QuestionCase

CaseT = TypeVar("CaseT", bound=BaseModel)

Positions = Annotated[int, Field(ge=1, le=1024)]
"""Over how many positions a divergence is averaged."""


class MinedPrompt(BaseModel):
    """A prompt as ``sway mine`` writes it; what stands beside ``prompt`` is a remark."""

    model_config = ConfigDict(extra="forbid")

    prompt: str
    raw: float | None = None
    net: float | None = None
    index: int | None = None


def _prompt_text(value: Any) -> Any:
    """The text of a mined prompt; anything else as it is."""
    if not isinstance(value, dict):
        return value
    text, odd = value.get("prompt"), [key for key in value if not _is_remark(key)]
    return value if odd or not isinstance(text, str) else text


def _is_remark(key: object) -> bool:
    return key in MinedPrompt.model_fields or str(key).startswith("_")


PromptText = Annotated[str, BeforeValidator(_prompt_text, json_schema_input_type=str | MinedPrompt)]
"""A prompt; as an entry of a spec also one that ``sway mine`` wrote, which is a mapping."""


class PromptOptions(ProbeOptions):
    """Options of a probe whose items are prompts."""

    prompts: list[PromptText] = Field(min_length=1)
    _mined: frozenset[str] = frozenset()

    @model_validator(mode="wrap")
    @classmethod
    def _mark_mined(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        options = read(value)
        prompts = value.get("prompts") if isinstance(value, dict) else None
        if isinstance(prompts, list):
            mined = (str(one["prompt"]) for one in prompts if isinstance(one, dict))
            options._mined = frozenset(mined)  # noqa: SLF001 - its own class
        return options

    @property
    def mined_items(self) -> int:
        return len(self._mined.intersection(self.prompts))

    def limited(self, limit: int) -> Self:
        """The first prompts."""
        return self.model_copy(update={"prompts": self.prompts[:limit]})


class CaseOptions(ProbeOptions, Generic[CaseT]):
    """Options of a probe whose items are cases, each with fields of its own."""

    cases: list[CaseT] = Field(min_length=1)

    @property
    def mined_items(self) -> int:
        return sum(isinstance(case, QuestionCase) and case.is_mined for case in self.cases)

    def limited(self, limit: int) -> Self:
        """The first cases."""
        return self.model_copy(update={"cases": self.cases[:limit]})
