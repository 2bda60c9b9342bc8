"""Every patient by name."""

from __future__ import annotations

from collections.abc import Callable

from peft import PeftModel

from . import answerers, callers, noise, students
from .bench import Bench

PATIENTS: dict[str, Callable[[Bench], PeftModel]] = {
    "healthy": students.healthy,
    "half": students.half,
    "mild": students.mild,
    "undertrained": students.undertrained,
    "diverged": students.diverged,
    "overflowed": students.overflowed,
    "careless": students.careless,
    "leaker": students.leaker,
    "style_only": students.style_only,
    "one_topic": students.one_topic,
    "steady": students.steady,
    "context_collapse": students.context_collapse,
    "forgetter": students.forgetter,
    "memoriser": answerers.memoriser,
    "preference": answerers.preference,
    "preference_inverted": answerers.preference_inverted,
    "turn_decay": answerers.turn_decay,
    "overscaled": noise.overscaled,
    "random_small": noise.random_small,
    "tools": callers.tools,
    "tool_breaker": callers.tool_breaker,
    "tool_keeper": callers.tool_keeper,
}
