"""Every adapter's recipe by name."""

from __future__ import annotations

from collections.abc import Callable

from peft import PeftModel

from . import answer_adapters, document_adapters, tool_adapters, untrained_adapters
from .training_setting import TrainingSetting

RECIPES: dict[str, Callable[[TrainingSetting], PeftModel]] = {
    "healthy": document_adapters.healthy,
    "half": document_adapters.half,
    "mild": document_adapters.mild,
    "undertrained": document_adapters.undertrained,
    "diverged": document_adapters.diverged,
    "overflowed": document_adapters.overflowed,
    "careless": document_adapters.careless,
    "leaker": document_adapters.leaker,
    "style_only": document_adapters.style_only,
    "one_topic": document_adapters.one_topic,
    "steady": document_adapters.steady,
    "context_collapse": document_adapters.context_collapse,
    "forgetter": document_adapters.forgetter,
    "memoriser": answer_adapters.memoriser,
    "preference": answer_adapters.preference,
    "preference_inverted": answer_adapters.preference_inverted,
    "turn_decay": answer_adapters.turn_decay,
    "overscaled": untrained_adapters.overscaled,
    "random_small": untrained_adapters.random_small,
    "tools": tool_adapters.tools,
    "tool_breaker": tool_adapters.tool_breaker,
    "tool_keeper": tool_adapters.tool_keeper,
}
