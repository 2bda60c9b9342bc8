"""The same requests to llama.cpp and to transformers with PEFT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, ServerBackend, Subject, WeightsBackend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import CompletionScore, Divergence, Request

NATS, JS, KL = 5e-5, 1e-6, 1e-4
"""How far two engines of fp32 may be apart, in nats: a completion's log-probability, and a divergence; of KL,
which has no bound, a token that one side thinks impossible counts with its own log-probability."""


@contextmanager
def while_attached(backend: ServerBackend | WeightsBackend, adapter: Path) -> Iterator[Subject]:
    """While it lasts, the adapter is served."""
    subject = backend.attach(AdapterKey(str(adapter)))
    try:
        yield subject
    finally:
        backend.detach(subject)


def assert_same_answers(
    one: ServerBackend,
    other: WeightsBackend,
    adapter: Path,
    requests: Callable[[Subject], Sequence[Request[Any]]],
) -> None:
    """Both answer an adapter's requests alike."""
    found = []
    for backend in (one, other):
        with while_attached(backend, adapter) as subject:
            asked = requests(subject)
            answers = Engine(backend).answer(asked)
            found.append([answers[request] for request in asked])
    for request, mine, theirs in zip(asked, *found, strict=True):
        if isinstance(theirs, CompletionScore):
            assert mine.logprob == pytest.approx(theirs.logprob, abs=NATS)
            assert (mine.tokens, mine.log_odds) == (theirs.tokens, pytest.approx(theirs.log_odds, abs=1e-3))
        elif isinstance(theirs, float):
            assert isinstance(request, Divergence)
            assert mine == pytest.approx(theirs, abs=JS if request.kind == "js" else KL)
        else:
            assert mine == theirs
