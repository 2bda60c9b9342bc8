"""delta_kl on fake answers."""

from __future__ import annotations

import pytest

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.requests import Divergence, Generate, Request, View, Views
from pytest_sway.result import Measurement, Verdict
from tests.support import fake_models
from tests.support.null_samples import EIGHT, null_sample

BASE, TUNED = View("b"), View("b", "a")
VIEWS = Views(BASE, TUNED, TUNED)


def measured(probe: DeltaKL, seen: list[Request[object]] | None = None) -> Measurement:
    def answer(request: Request[object]) -> object:
        if seen is not None:
            seen.append(request)
        return fake_models.answer(request)

    return Engine(FakeBackend(answer)).run(probe, VIEWS).measured


def test_raw_is_the_mean_over_prompts() -> None:
    found = measured(DeltaKL(prompts=["a", "b", "c"]))
    assert found.raw == pytest.approx(sum(found.samples) / 3)
    assert found.evidence["per_prompt"] == list(found.samples)
    assert found.evidence["max"] == max(found.samples)


def test_positions_follow_the_bases_own_text() -> None:
    seen: list[Request[object]] = []
    measured(DeltaKL(prompts=["a"], positions=3), seen)
    assert seen[0] == Generate("a", BASE, 2)
    assert seen[1] == Divergence("a", BASE, TUNED, "js", (1, 2))


def test_positions_may_follow_the_adapters_own_words_which_its_nulls_read_too() -> None:
    null = View("b", "null")
    seen: list[Request[object]] = []

    def answer(request: Request[object]) -> object:
        seen.append(request)
        return fake_models.answer(request)

    probe = DeltaKL(prompts=["a"], positions=3, continuation="adapter")
    Engine(FakeBackend(answer)).run(probe, Views(BASE, null, TUNED))
    assert seen == [Generate("a", TUNED, 2), Divergence("a", BASE, null, "js", (1, 2))]


def test_kl_is_tuned_from_base_as_in_dlm_sway() -> None:
    seen: list[Request[object]] = []
    measured(DeltaKL(prompts=["a"], positions=1, divergence="kl"), seen)
    assert seen[1] == Divergence("a", TUNED, BASE, "kl", ())


def test_a_repeated_prompt_is_no_further_item() -> None:
    """Eight times one prompt would give an interval of no width, and a pass."""
    probe = DeltaKL(prompts=["same"] * 8)
    found = measured(probe)
    assert len(found.samples) == 1
    assert probe.judge(found, null_sample(*EIGHT)).verdict is Verdict.WARN


@pytest.mark.parametrize("prompts", [["🜁 ∮ ñandú", "\u202eevil", "x"]])
def test_odd_inputs_are_measured(prompts: list[str]) -> None:
    assert len(measured(DeltaKL(prompts=prompts)).samples) == len(prompts)


def test_ten_thousand_prompts() -> None:
    found = measured(DeltaKL(prompts=[f"prompt {i}" for i in range(10_000)]))
    assert found.evidence["num_prompts"] == 10_000


def test_verdicts() -> None:
    probe = DeltaKL(prompts=["a", "b", "c", "d"])
    strong = Measurement(raw=0.2, samples=(0.18, 0.2, 0.22, 0.2))
    weak = Measurement(raw=0.001, samples=(0.0011, 0.0009, 0.001, 0.001))
    assert probe.judge(strong, null_sample(*EIGHT)).verdict is Verdict.PASS
    assert probe.judge(strong, None).verdict is Verdict.PASS
    assert probe.judge(weak, null_sample(*EIGHT)).verdict is Verdict.FAIL
