"""How much the engine computes for the benchmark's inputs: times are noisy, operations are not.

Matrix operations are counted by torch, and compared with what the inputs cannot do without. A change that
computes a text twice, pads more, or scores positions that nobody asked for, shows here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import inputs
import make_model
import pytest
import torch
from model_sizes import MODEL_SIZES
from torch.utils.flop_counter import FlopCounterMode

from pytest_sway.backends.base import AdapterKey, ModelKey, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Generate, Request, View

NULLS, NEW_TOKENS = 20, 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make_model.make(tmp_path_factory.mktemp("model"), MODEL_SIZES["small"])


@pytest.fixture(scope="module")
def backend(model: dict[str, Any]) -> HFBackend:
    return load_backend(ModelKey("hf", model["model"], dtype="fp32", device="cpu"))


@pytest.fixture(scope="module")
def subject(backend: HFBackend, model: dict[str, Any]) -> Iterator[Subject]:
    subject = backend.attach(AdapterKey(model["adapters"][0]))
    yield subject
    backend.detach(subject)


def requests_for(items: Sequence[inputs.Item], view: View, other: View) -> list[Request[Any]]:
    """As scenario b asks them, of ``view``; what a divergence compares with is ``other``."""
    asked: list[Request[Any]] = []
    for item in items:
        if isinstance(item, inputs.Prompt):
            asked.append(Divergence(item.text, view, other))
        elif isinstance(item, inputs.Passage):
            asked.append(Completion("", item.text, view))
        else:
            asked += [Completion(item.prompt, text, view) for text in item.completions]
    return asked


NORMS = MODEL_SIZES["small"]["hidden_size"] * (2 * MODEL_SIZES["small"]["num_hidden_layers"] + 1)
"""Parameters of the layers that are in no matrix product."""


def operations(work: inputs.Tokens, model: dict[str, Any]) -> float:
    """Of the matrix products under the base: two a parameter, norms left out."""
    layers = model["parameters"] - model["head_parameters"] - NORMS
    return 2 * (work.shared * layers + work.scored * model["head_parameters"])


@pytest.mark.parametrize(("scenario", "forwards", "most"), [("short_prompts", 1, 1.08), ("mixed", 11, 1.06)])
def test_matrix_operations_are_hardly_more_than_needed(
    backend: HFBackend, subject: Subject, model: dict[str, Any], scenario: str, forwards: int, most: float
) -> None:
    items = getattr(inputs, scenario)(model["vocabulary"])
    engine = Engine(backend)
    with FlopCounterMode(display=False) as counter:
        engine.answer(requests_for(items, subject.base, subject.base))
    work = inputs.total(items)
    stats = engine.stats()
    assert stats["tokens"] <= work.shared  # fewer where completions happen to begin alike
    assert stats["forward_passes"] <= forwards
    assert 1 <= counter.get_total_flops() / operations(work, model) <= most


def test_the_base_is_scored_once_for_all_adapters(
    backend: HFBackend, subject: Subject, model: dict[str, Any]
) -> None:
    prompts = [prompt.text for prompt in inputs.fleet_prompts(model["vocabulary"])]
    views = subject.base, subject.tuned, subject.tuned.scaled(0.5)
    counted = []
    for view in views[1:]:
        with FlopCounterMode(display=False) as counter:
            Engine(backend).answer([Divergence(prompt, views[0], view) for prompt in prompts])
        counted.append(counter.get_total_flops())
    assert counted[1] < 0.6 * counted[0]


def test_each_null_adapter_costs_one_forward(
    backend: HFBackend, subject: Subject, model: dict[str, Any]
) -> None:
    prompts = [prompt.text for prompt in inputs.null_prompts(model["vocabulary"], NULLS)]
    nulls = null_population(subject, NullPlan("norm_matched", NULLS, 0, 0.02)).views
    engine = Engine(backend)
    engine.answer([Divergence(prompt, subject.base, view) for view in nulls for prompt in prompts])
    assert engine.stats()["forward_passes"] == 1 + NULLS


def test_a_step_of_writing_is_one_forward_for_as_many_views_as_fit(
    backend: HFBackend, subject: Subject, model: dict[str, Any]
) -> None:
    prompts = [prompt.text for prompt in inputs.written_prompts(model["vocabulary"])]
    nulls = null_population(subject, NullPlan("norm_matched", NULLS, 0, 0.02)).views
    views = [subject.base, subject.tuned, *nulls]
    batches = [
        views[at : at + backend.views_per_batch] for at in range(0, len(views), backend.views_per_batch)
    ]
    shapes: list[torch.Size] = []
    hook = backend._model.register_forward_pre_hook(
        lambda _, __, options: shapes.append(options["input_ids"].shape), with_kwargs=True
    )
    Engine(backend).answer([Generate(prompt, view, NEW_TOKENS) for view in views for prompt in prompts])
    hook.remove()
    assert [rows for rows, _ in shapes[::NEW_TOKENS]] == [len(prompts) * len(batch) for batch in batches]
    assert len(shapes) == NEW_TOKENS * len(batches)
