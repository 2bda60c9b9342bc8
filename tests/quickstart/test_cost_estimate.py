"""The plan of a run on the model that ships: what it says is what is then computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.engine.engine import Engine
from pytest_sway.items.cost_estimate import planned_probe
from pytest_sway.items.null_comparison import null_views_for
from pytest_sway.items.run_probe import MeasurementContext
from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.probes.base import Probe
from pytest_sway.requests import Views
from tests.support.paths import QUICKSTART

RUNS = replace(NullPlan("norm_matched", 12, 0, 0.02), first=8)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite(QUICKSTART / "battery.sway.yaml")


@pytest.fixture(scope="module")
def context(suite: Suite) -> Iterator[MeasurementContext]:
    backend: Any = load_backend(suite.model)
    subject = backend.attach(suite.adapters[0])
    nulls = null_population(subject, RUNS)
    yield MeasurementContext(Engine(backend), subject, nulls, backend.capabilities, backend.context)
    backend.detach(subject)


def probe_of(suite: Suite, kind: str, context: MeasurementContext) -> Probe[Any]:
    setting = suite.probe_context(suite.adapters[0], context.capabilities, context.context_length)
    return next(e.probe for e in suite.entries if e.probe.kind == kind).with_context(setting)


def computed(context: MeasurementContext, probe: Probe[Any]) -> tuple[float, float]:
    """Tokens, padding included, of a run with the first draws, and of one with the others."""
    chosen = null_views_for(probe, context.population)
    subject = context.subject
    views = Views(subject.base, subject.tuned, subject.tuned)
    engine = Engine(context.engine.backend)
    counts = []
    for run in (
        lambda: engine.run(probe, views, chosen.first_views),
        lambda: engine.run_nulls(probe, views, [view for some in chosen.further_views for view in some]),
    ):
        run()
        stats = engine.stats()
        counts.append(stats["tokens"] + stats["padding_tokens"])
    return counts[0], counts[1]


@pytest.mark.parametrize(
    "kind",
    [
        "preference_flip",
        "calibration_drift",
        pytest.param("section_internalization", marks=pytest.mark.slow),
    ],
)
def test_what_is_scored_is_planned_to_the_token(suite: Suite, context: MeasurementContext, kind: str) -> None:
    probe = probe_of(suite, kind, context)
    planned = planned_probe(probe, context, "suite")
    assert (planned.tokens, planned.most_tokens) == computed(context, probe)
    assert 0 < planned.seconds <= planned.most_seconds
    assert planned.memory > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["delta_kl", "style_fingerprint", "prompt_collapse"])
def test_what_is_continued_is_planned_at_its_longest(
    suite: Suite, context: MeasurementContext, kind: str
) -> None:
    """A continuation may end early, and what is scored after it is then shorter too."""
    probe = probe_of(suite, kind, context)
    planned = planned_probe(probe, context, "suite")
    first, every = computed(context, probe)
    assert 0.6 * planned.tokens <= first <= planned.tokens
    assert 0.6 * planned.most_tokens <= every <= planned.most_tokens


def test_planning_computes_nothing(suite: Suite, context: MeasurementContext) -> None:
    probe = probe_of(suite, "preference_flip", context)
    planned_probe(probe, context, "suite")
    assert context.engine.misses == 0
    assert context.engine.stats()["tokens"] == 0


def test_what_is_known_is_not_planned_again(suite: Suite, context: MeasurementContext) -> None:
    engine = Engine(context.engine.backend)
    again = replace(context, engine=engine)
    probe = probe_of(suite, "calibration_drift", again)
    before = planned_probe(probe, again, "suite")
    engine.run(probe, Views(context.subject.base, context.subject.tuned, context.subject.tuned))
    assert before.tokens > planned_probe(probe, again, "suite").tokens == 0
