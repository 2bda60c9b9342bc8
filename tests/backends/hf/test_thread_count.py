"""The threads of a model's work: by its size, at most this process's share, given back after each forward."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from pytest_sway import thread_limits
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.device import thread_count
from pytest_sway.backends.hf.device.thread_count import ThreadCount
from pytest_sway.requests import View
from tests.support.hf_models import ROWS, logprobs

SMALL = LlamaConfig(hidden_size=256, intermediate_size=688, vocab_size=4096)
LARGE = LlamaConfig(hidden_size=4096, intermediate_size=11008, vocab_size=32000)


@pytest.fixture(autouse=True)
def _two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine of two cores, whose user set nothing."""
    before = torch.get_num_threads()
    for name in (*thread_limits._COUNTS, "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(thread_limits, "_expected", {})
    monkeypatch.setattr(thread_count, "usable_cores", lambda: 2)
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _model(config: LlamaConfig, device: str = "cpu") -> Any:
    return SimpleNamespace(device=torch.device(device), config=config)


def test_small_work_gets_one_thread_and_large_work_all() -> None:
    small, large = ThreadCount(_model(SMALL)), ThreadCount(_model(LARGE))
    assert [small.for_layers(tokens) for tokens in (1, 20, 512)] == [1, 1, 2]
    assert [small.for_head(positions) for positions in (1, 100)] == [1, 2]
    assert [large.for_layers(1), large.for_head(1)] == [2, 2]


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    assert ThreadCount(_model(LARGE)).limit == 1


def test_fewer_threads_than_cores_stay_so() -> None:
    torch.set_num_threads(1)
    assert ThreadCount(_model(LARGE)).limit == 1


@pytest.mark.parametrize("name", thread_limits._COUNTS)
def test_a_number_in_the_environment_holds_for_all_work(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "2")
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    assert ThreadCount(_model(SMALL)).for_layers(1) == 2


def test_the_number_is_given_back() -> None:
    seen: list[int] = []

    def failing() -> None:
        with ThreadCount(_model(SMALL)).using(1):
            seen.append(torch.get_num_threads())
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        failing()
    assert seen == [1]
    assert torch.get_num_threads() == 2


def test_a_model_on_a_gpu_leaves_the_number_alone() -> None:
    with ThreadCount(_model(SMALL, "cuda")).using(1):
        assert torch.get_num_threads() == 2


def test_a_backend_computes_with_its_own_number(backend: HFBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the project's own tests set meanwhile: the sums of two runs must not differ with it."""
    monkeypatch.setattr(backend, "_threads", ThreadCount(backend._model))
    base = View(backend._view_digest())
    seen: list[int] = []
    hook = backend._model.model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    try:
        for now in (1, 2):
            torch.set_num_threads(now)
            backend.generate(ROWS[:1], [base], 2)
            logprobs(backend, [list(range(100 + now, 160 + now))], base, [50])
            backend._row_logits()
            assert torch.get_num_threads() == now
    finally:
        hook.remove()
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
    assert set(seen) == {1, 2}
