"""Every form of adapter: the numbers of PEFT's own forward on a model of its own, or a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from backends.adapters_made import REBASED, WHOLE, base_model, trained
from backends.asked import KEY, ROWS, logprobs, truth
from pytest_sway.backends.hf.load import load
from pytest_sway.backends.hf.model import HFBackend
from pytest_sway.backends.protocols import AdapterKey

WHOLE_ROWS = [0, 0, 0]


@pytest.fixture(scope="module")
def backend() -> Iterator[HFBackend]:
    made = load(KEY)
    yield made
    made.close()


@pytest.fixture(scope="module")
def untouched() -> list[torch.Tensor]:
    return truths(base_model())


def truths(model: Any) -> list[torch.Tensor]:
    return [truth(model, row) for row in ROWS]


def off(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))


def scored(backend: HFBackend, folder: Path, *scales: float) -> list[list[torch.Tensor]]:
    """What the base and the tuned view at each λ answer; the adapter is taken off again."""
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        views = [subject.base, *(subject.tuned.scaled(scale) for scale in scales)]
        return [logprobs(backend, ROWS, view, WHOLE_ROWS) for view in views]
    finally:
        backend.detach(subject)


@pytest.mark.parametrize("name", [*REBASED, *WHOLE])
def test_every_form_scores_like_the_model_that_was_trained(
    backend: HFBackend, untouched: list[torch.Tensor], tmp_path: Path, name: str
) -> None:
    model = trained(tmp_path, {**REBASED, **WHOLE}[name])
    base, tuned = scored(backend, tmp_path, 1.0)
    expected = truths(model)
    assert off(expected, untouched) > 0.01  # the adapter does something
    assert off(tuned, expected) < 5e-4
    assert off(base, untouched) < 2e-5
