"""Layers below the first that an adapter changes are computed once per batch, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3MoeConfig, Qwen3MoeForCausalLM

from pytest_sway.backends.base import AdapterKey, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.scoring import LEAST
from pytest_sway.backends.hf.unadapted_layers import UnadaptedLayers
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.requests import View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.hf_models import MODEL_KEY, ROWS, logprobs
from tests.support.peft_adapters import lora, save_adapter
from tests.support.tiny_models import SIZES, backend_of, random_base

UPPER = [2, 3]
"""Of the quickstart's four layers."""
SKIPPING = {
    "lora": (lora(layers_to_transform=UPPER), 2),
    "one_layer": (lora(layers_to_transform=[3], target_modules=["q_proj"]), 3),
    "dora": (lora(layers_to_transform=UPPER, use_dora=True), 2),
}
ALL_COMPUTED = {
    "all_layers": lora(),
    "embedding": lora(layers_to_transform=UPPER, modules_to_save=["embed_tokens"]),
    "tokens": lora(layers_to_transform=UPPER, trainable_token_indices=[900]),
}


def adapter(folder: Path, config: Any, base: Any = None) -> AdapterKey:
    return AdapterKey(str(save_adapter(folder, config, base=base)))


def views_of(subject: Subject) -> list[View]:
    nulls = null_population(subject, NullPlan("norm_matched", 2, 0, 0.02)).views
    return [subject.tuned, subject.base, *nulls, subject.tuned.scaled(0.5), subject.base]


def scored(backend: HFBackend, views: list[View], rows: list[list[int]] = ROWS) -> list[torch.Tensor]:
    """Every view's answers on one batch, none of them remembered."""
    found = []
    for view in views:
        backend._base_hidden.clear()
        found.append(torch.cat(logprobs(backend, rows, view, [0] * len(rows))))
    return found


def check_same(backend: HFBackend, subject: Subject) -> None:
    """The answers are those of whole forwards, to the last bit, after another batch too."""
    views = views_of(subject)
    skipping = [scored(backend, views), scored(backend, views[1:3], ROWS[::-1]), scored(backend, views)]
    assert backend._unadapted is not None
    backend._unadapted.close()
    backend._unadapted = None
    whole = [scored(backend, views), scored(backend, views[1:3], ROWS[::-1]), scored(backend, views)]
    for some, expected in zip(skipping, whole, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(some, expected, strict=True))
    assert not torch.equal(whole[0][0], whole[0][1])


@pytest.mark.parametrize("name", SKIPPING)
def test_answers_are_those_of_whole_forwards(tmp_path: Path, name: str) -> None:
    config, count = SKIPPING[name]
    backend = load_backend(MODEL_KEY)
    subject = backend.attach(adapter(tmp_path, config))
    assert backend._unadapted is not None
    assert backend._unadapted.count == count
    check_same(backend, subject)
    backend.detach(subject)


@pytest.mark.parametrize("name", ALL_COMPUTED)
def test_whatever_may_change_the_first_layer_computes_all(tmp_path: Path, name: str) -> None:
    backend = load_backend(MODEL_KEY)
    backend.attach(adapter(tmp_path, ALL_COMPUTED[name]))
    assert backend._unadapted is None


OTHERS: dict[str, tuple[Callable[[], tuple[Any, Any]], list[str]]] = {
    "gpt2": (
        lambda: (
            GPT2LMHeadModel,
            GPT2Config(vocab_size=4096, n_embd=32, n_layer=2, n_head=2, n_positions=128),
        ),
        ["c_attn"],
    ),
    "qwen3_moe": (
        lambda: (
            Qwen3MoeForCausalLM,
            Qwen3MoeConfig(
                **SIZES,
                head_dim=16,
                intermediate_size=64,
                moe_intermediate_size=32,
                num_experts=4,
                num_experts_per_tok=2,
            ),
        ),
        ["q_proj"],
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_architectures(tmp_path: Path, name: str) -> None:
    made, modules = OTHERS[name]
    base = random_base(tmp_path / "base", *made())
    key = adapter(tmp_path / "adapter", lora(layers_to_transform=[1], target_modules=modules), base)
    backend = backend_of(tmp_path / "base")
    subject = backend.attach(key)
    assert backend._unadapted is not None
    check_same(backend, subject)


def test_the_second_view_costs_the_upper_layers_alone(tmp_path: Path) -> None:
    backend = load_backend(MODEL_KEY)
    subject = backend.attach(adapter(tmp_path, lora(layers_to_transform=UPPER)))
    row = [ROWS[2] * 20]
    counted = []
    for view in (subject.tuned, subject.tuned.scaled(0.5)):
        with FlopCounterMode(display=False) as counter:
            logprobs(backend, row, view, [len(row[0]) - 1])
        counted.append(counter.get_total_flops())
    first, second = counted
    config = backend._model.config
    head = 2 * config.hidden_size * config.vocab_size * LEAST
    assert second - head < 0.51 * (first - head)


def test_two_batches_at_a_time_and_writing_between_them(tmp_path: Path) -> None:
    backend = load_backend(MODEL_KEY)
    subject = backend.attach(adapter(tmp_path, lora(layers_to_transform=UPPER)))
    texts = [TokenSequence(tuple(row), 0) for row in (ROWS[0], ROWS[2])]
    expected = [scored(backend, [subject.tuned], [list(text.ids)])[0] for text in texts]
    running = [backend.logprobs([PackedRow((text,))], subject.tuned, 2) for text in texts]
    begun = [next(scores) for scores in running]
    backend.generate([ROWS[1]], [subject.tuned.scaled(0.5)], 2)
    for begin, scores, whole in zip(begun, running, expected, strict=True):
        found = torch.cat([piece for _, _, piece in (begin, *scores)])
        torch.testing.assert_close(found, whole, rtol=0, atol=2e-5)


def test_detaching_gives_the_layers_their_own_forward_back(tmp_path: Path) -> None:
    backend = load_backend(MODEL_KEY)
    subject = backend.attach(adapter(tmp_path, lora(layers_to_transform=UPPER)))
    layers = backend._model.model.layers
    assert "forward" in vars(layers[0])
    backend.detach(subject)
    assert not any("forward" in vars(layer) for layer in layers)


class Doubling(torch.nn.Module):
    fails = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fails:
            raise MemoryError
        return 2 * x


def test_an_interrupted_forward_leaves_nothing_to_skip() -> None:
    layers = [Doubling(), Doubling()]
    unadapted = UnadaptedLayers(layers)

    def forward(x: float) -> float:
        found = torch.tensor(x)
        for layer in layers:
            found = layer(found)
        return float(found)

    with unadapted.computed_once("a"):
        assert forward(1.0) == 4
    layers[1].fails = True
    with pytest.raises(MemoryError), unadapted.computed_once("b"):
        forward(3.0)
    layers[1].fails = False
    assert forward(5.0) == 20, "outside of the block nothing is skipped"
    with unadapted.computed_once("b"):
        assert forward(3.0) == 12
    with unadapted.computed_once("b"):
        assert forward(7.0) == 12, "skipped: the output on the same batch is kept"
