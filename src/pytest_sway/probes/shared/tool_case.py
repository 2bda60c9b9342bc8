"""A case of tool use: what is asked, which tools are offered, which call is right, and how good one is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from pytest_sway.probes.shared.tool_calls import find_call
from pytest_sway.probes.shared.tool_schema import disagreement, fault, matches_schema


class ToolUseCase(BaseModel):
    """A request, the tools that are offered for it, and the call that is right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    system: str = ""
    """The system message before it."""
    tool_spec: dict[str, JsonValue] | list[dict[str, JsonValue]]
    """A function with ``name`` and ``parameters`` (OpenAI style, bare or under ``function``), or several."""
    gold_tool_name: str
    gold_arguments: dict[str, JsonValue] | None = None
    max_new_tokens: int = Field(default=256, ge=1)

    @model_validator(mode="after")
    def _complete(self) -> ToolUseCase:
        for i, function in enumerate(self.functions):
            where = f"tool_spec[{i}]" if isinstance(self.tool_spec, list) else "tool_spec"
            if not isinstance(function.get("name"), str) or not function["name"]:
                raise ValueError(f"{where}.name is {function.get('name')!r}, expected the tool's name")
            if found := fault(function.get("parameters", {}), f"{where}.parameters"):
                raise ValueError(found)
        if self.gold_tool_name not in self.schemas:
            names = ", ".join(self.schemas) or "none"
            raise ValueError(
                f"gold_tool_name {self.gold_tool_name!r} is not among the tools in tool_spec: {names}"
            )
        return self

    @property
    def functions(self) -> list[dict[str, Any]]:
        """The functions that are shown."""
        specs = self.tool_spec if isinstance(self.tool_spec, list) else [self.tool_spec]
        inner = [spec.get("function") for spec in specs]
        return [f if isinstance(f, dict) else spec for f, spec in zip(inner, specs, strict=True)]

    @property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """What each function's arguments must be, by its name."""
        return {function["name"]: function.get("parameters", {}) for function in self.functions}

    @property
    def gold(self) -> str:
        """The right call as JSON text."""
        call: dict[str, Any] = {"name": self.gold_tool_name}
        if self.gold_arguments is not None:
            call["arguments"] = self.gold_arguments
        return json.dumps(call, ensure_ascii=False)

    def grade(self, text: str, allowed: list[str] | None) -> Grade:
        """What an answer is worth.

        Args:
            text: the answer.
            allowed: names that are no hallucination; None: those of the tools shown.
        """
        call = find_call(text)
        if call is None:
            return Grade()
        given = call.arguments if isinstance(call.arguments, dict) else None
        valid = given is not None and matches_schema(given, self.schemas.get(call.name, {}))
        right = call.name == self.gold_tool_name
        parts = [float(valid), float(right)]
        if self.gold_arguments is not None:
            parts.append(1 - disagreement(self.gold_arguments, given) if right and given is not None else 0.0)
        outside = valid and call.name not in (self.schemas if allowed is None else allowed)
        return Grade(True, valid, sum(parts) / len(parts), outside, given if valid else None)


class Grade(NamedTuple):
    """What an answer is worth.

    Attributes:
        called: whether it calls a tool at all.
        valid: whether the arguments are an object that fits the schema of the tool named; of a tool that is
            not shown, whether they are an object.
        score: mean of: valid, the right name, and the share of the gold arguments' leaves that is right.
        outside: whether it is a valid call of a tool that is not there.
        arguments: of a valid call.
    """

    called: bool = False
    valid: bool = False
    score: float = 0.0
    outside: bool = False
    arguments: dict[str, Any] | None = None

    def to_numbers(self) -> tuple[float, ...]:
        """All but the arguments."""
        return (float(self.called), float(self.valid), self.score, float(self.outside))

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> Grade:
        """Read back from its numbers."""
        called, valid, score, outside = numbers
        return cls(bool(called), bool(valid), score, bool(outside))
