"""A question with its answer and other wordings: what more than one probe's cases are."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from pytest_sway.requests import Turn
from pytest_sway.spec.context_turns import ContextTurn, to_turns

_MINED = "_mining_meta"


class QuestionCase(BaseModel):
    """A question in the wording that was trained on, its answer, and other wordings.

    A field whose name begins with ``_`` is a remark and is left out; ``_mining_meta`` marks a mined case.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"patternProperties": {"^_": True}}
    )

    prompt: str = Field(min_length=1)
    gold: str = Field(min_length=1)
    paraphrases: tuple[str, ...] = Field(min_length=1)
    context: tuple[ContextTurn, ...] = ()
    """Turns before the question, in whatever wording it is asked."""
    _is_mined: bool = False

    @model_validator(mode="wrap")
    @classmethod
    def _without_remarks(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, dict):
            return read(value)
        case = read({key: item for key, item in value.items() if not str(key).startswith("_")})
        case._is_mined = _MINED in value  # noqa: SLF001 - its own class
        return case

    @field_validator("paraphrases")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(text.strip() for text in value):
            raise ValueError("an empty paraphrase; remove it")
        return tuple(dict.fromkeys(value))

    @property
    def is_mined(self) -> bool:
        """Whether ``sway mine`` chose its paraphrases."""
        return self._is_mined

    @property
    def turns_before(self) -> tuple[Turn, ...]:
        """The context, as it is put to a model."""
        return to_turns(self.context)
