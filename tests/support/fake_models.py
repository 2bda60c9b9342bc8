"""Fake answers: an adapter whose every property is known, without a model.

The divergence of the adapter is ``EFFECT`` × λ² × a factor of the prompt; a null's is a thousandth of
it, spread over the draws. What the base and the adapter write is three tokens long.
"""

from __future__ import annotations

import math
from typing import Any

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.fake import FakeBackend
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Generate,
    Generation,
    Request,
    View,
)

EFFECT = 0.2
LOADS: list[str] = []
"""Which models were loaded, in order."""


def backend(model: ModelKey) -> FakeBackend:
    """The backend that a model's name describes: fakellm (a good adapter), weak, inert, nan, broken."""
    LOADS.append(model.base)
    if model.base.startswith("broken"):
        raise BackendError("the disk is on fire")
    name = model.base.split("-")[0]
    return FakeBackend(ANSWERS.get(name, answer), inert=name == "inert")


def answer(request: Request[Any]) -> Any:
    """A healthy adapter."""
    return _answer(request, EFFECT)


def _answer(request: Request[Any], effect: float) -> Any:
    if isinstance(request, Generate):
        return Generation("some words", (1, 2, 3)[: request.max_new_tokens])
    if isinstance(request, Completion):
        return CompletionScore(-2.0, 2)
    assert isinstance(request, Divergence)
    return _size(request.p, effect) * _size(request.q, effect) * _of(str(request.prompt))


def _size(view: View, effect: float) -> float:
    if view.is_base:
        return 1.0
    if view.null is None:
        return effect * view.scale**2
    return 0.0002 * view.scale**2 * math.exp(0.2 * math.sin(view.null.draw + view.null.seed_base))


def _of(prompt: str) -> float:
    """A factor between 0.8 and 1.2, the same in every process."""
    return 0.8 + 0.4 * (sum(prompt.encode()) % 97) / 97


ANSWERS = {
    "fakellm": answer,
    "weak": lambda request: _answer(request, 0.0002),
    "inert": lambda request: 0.0 if isinstance(request, Divergence) else _answer(request, 0.0),
    "nan": lambda request: math.nan if isinstance(request, Divergence) else _answer(request, 0.0),
}
SPEC = """\
version: 1
models:
  base: {kind: dummy, base: fakellm}
  ft: {kind: dummy, base: fakellm, adapter: adapters/good}
suite:
  - {name: baseline, kind: null_adapter}
  - name: dk
    kind: delta_kl
    prompts: [one, two, three, four, five]
  - name: curve
    kind: adapter_ablation
    prompts: [one, two, three, four, five]
  - name: talk
    kind: multi_turn_coherence_decay
    prompts: [one, two, three, four, five]
"""
