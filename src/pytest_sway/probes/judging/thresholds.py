"""The thresholds of conditions, as option types, and where one switches its condition off."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema


@dataclass(frozen=True)
class Off:
    """Where a condition is switched off: beyond these values it can neither fail nor warn.

    Attributes:
        at_most: a floor that is no larger asks for nothing.
        at_least: a ceiling that is no smaller forbids nothing.
        at_zero: whether 0 does as well.
    """

    at_most: float = -math.inf
    at_least: float = math.inf
    at_zero: bool = False

    def holds(self, value: float | None) -> bool:
        """Whether this value switches the condition off."""
        if value is None:
            return False
        return value <= self.at_most or value >= self.at_least or (self.at_zero and value == 0)


def _floor(value: float) -> float:
    """No floor is 0, however it was written."""
    if math.isnan(value) or value == math.inf:
        raise ValueError(
            "no result can reach this value; write a finite number, or 0 to switch the condition off"
        )
    return max(value, 0.0) if math.isinf(value) else value


def _rate(value: float) -> float:
    """No ceiling of a rate is 1, however it was written."""
    if not value >= 0:
        raise ValueError(
            "this cannot be a rate; write a number from 0 (nothing is allowed) to 1 (condition switched off)"
        )
    return 1.0 if math.isinf(value) else value


def _margin(value: float) -> float:
    if math.isnan(value) or value == math.inf:
        raise ValueError(
            "no result can reach this value; write a finite number, or 0 to switch the condition off"
        )
    return value


Finite = Annotated[float, Field(allow_inf_nan=False)]
"""Any number that has a size."""
Floor = Annotated[float, AfterValidator(_floor), Off(at_most=0)]
"""The least that an effect must be; 0 or less: any effect."""
Share = Annotated[
    float,
    AfterValidator(_floor),
    Field(le=1),
    WithJsonSchema({"type": "number", "maximum": 1}),  # a bound behind a validator is not in pydantic's own
    Off(at_most=0),
]
"""The least share, up to 1; 0 or less: any share."""
LeastZ = Annotated[float, AfterValidator(_floor), Off(at_most=0)]
"""The least z against the null population; 0 or less: it is not compared with it."""
Rate = Annotated[float, AfterValidator(_rate), Off(at_least=1)]
"""The largest rate, from 0; 1 or more: any rate."""
Margin = Annotated[float, AfterValidator(_margin), Off(at_zero=True)]
"""The largest loss, as a negative change; above 0 a gain is asked for, 0 and -inf allow any loss."""


def is_off(options: BaseModel, name: str) -> bool:
    """Whether an option switches its condition off."""
    return any(off.holds(getattr(options, name)) for off in _off_values(options, name))


def largest_loss(options: BaseModel, name: str) -> float:
    """The margin of a loss, ≥ 0 (below 0 a gain is asked for); infinite where it is switched off."""
    return math.inf if is_off(options, name) else -float(getattr(options, name))


def threshold_notes(options: BaseModel) -> Iterator[tuple[str, str]]:
    """Options that were set to switch a condition off, each with what to say."""
    for name in type(options).model_fields:
        if name not in options.model_fields_set:
            continue
        value = getattr(options, name)
        for off in _off_values(options, name):
            if off.holds(value):
                strict = (
                    "; to allow almost no loss, write a small negative number, such as -0.001"
                    if off.at_zero
                    else ""
                )
                yield (
                    name,
                    f"{name}: {value:g} switches this condition off, so it cannot fail or warn{strict}",
                )
                break


def _off_values(options: BaseModel, name: str) -> Iterator[Off]:
    return (part for part in type(options).model_fields[name].metadata if isinstance(part, Off))
