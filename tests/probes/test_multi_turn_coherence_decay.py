"""multi_turn_coherence_decay on fake dialogues."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import OptionsError, ProbeSkip
from pytest_sway.probes.multi_turn_coherence_decay import MultiTurnCoherenceDecay
from pytest_sway.requests import Divergence, Generate, Generation, NullSeed, Request, View, Views
from pytest_sway.result import Verdict
from tests.support.null_samples import null_sample

BASE, TUNED = View("b"), View("b", "a")
PROMPTS = ["a", "b", "c", "d", "e"]
EIGHT = [0.010, 0.012, 0.009, 0.011, 0.010, 0.013, 0.008, 0.011]
QUIET = null_sample(signal=EIGHT, last=EIGHT)


def measured(curve, prompts=PROMPTS, seen=None, null=(), **options):
    """A measurement where the divergence is ``curve(turn, index of the dialogue)``."""

    def answer(request: Request[object]) -> object:
        if seen is not None:
            seen.append(request)
        if isinstance(request, Generate):
            return Generation("reply", (5, 6, 7))
        assert isinstance(request, Divergence)
        turns = [t for t in request.prompt if not isinstance(t, str) and t.role == "user"]
        return curve(len(turns), prompts.index(turns[0].content))

    probe = MultiTurnCoherenceDecay(prompts=prompts, **options)
    views = Views(BASE, TUNED, TUNED)
    return probe, Engine(FakeBackend(answer)).run(probe, views, null).measured


def exponential(rate: float):
    return lambda turn, i: 0.8 * (1 + 0.05 * math.sin(i)) * math.exp((rate + 0.01 * math.cos(i)) * turn)


@given(st.floats(-1.5, -0.05))
def test_the_half_life_of_an_exponential_decay(rate: float) -> None:
    _, found = measured(lambda turn, i: 0.8 * math.exp(rate * turn))
    assert found.raw == pytest.approx(min(math.log(2) / -rate, 40.0))


@pytest.mark.parametrize(
    ("curve", "verdict", "status", "says"),
    [
        (exponential(-0.1), Verdict.PASS, "ok", "half-life"),
        (exponential(0.0), Verdict.PASS, "stable", "no decay"),
        (lambda turn, i: 0.4, Verdict.PASS, "stable", "no decay"),
        (exponential(0.2), Verdict.PASS, "non_monotonic", "no decay"),
        (exponential(-0.5), Verdict.WARN, "ok", "times that of random adapters"),
        (exponential(-1.6), Verdict.FAIL, "ok", "gone at turn 4"),
    ],
)
def test_verdicts(curve, verdict: Verdict, status: str, says: str) -> None:
    probe, found = measured(curve)
    judged = probe.judge(found, QUIET)
    assert (judged.verdict, says in judged.message) == (verdict, True), judged.message
    assert found.evidence["fit_status"] == status


def test_without_a_signal_nothing_after_the_second_turn_is_written() -> None:
    seen: list[Request[object]] = []
    null = View("b", "a", NullSeed("norm_matched", 0, 0, 0.02))
    with pytest.raises(ProbeSkip, match=r"effect too weak to judge its shape: .* below its floor"):
        measured(lambda turn, i: 0.0199, seen=seen, null=[null])
    assert len([request for request in seen if isinstance(request, Generate)]) == 2 * len(PROMPTS)


def test_small_but_far_beyond_its_null_is_not_gone() -> None:
    probe, found = measured(lambda turn, i: 0.0212 * (1 - 0.03 * turn) * (1 + 0.01 * i))
    tiny = [v / 100 for v in EIGHT]
    judged = probe.judge(found, null_sample(signal=tiny, last=tiny))
    assert judged.verdict is Verdict.PASS


@pytest.mark.parametrize("options", [{"max_turns": 2}, {"max_turns": 3}, {"prompts": ["a", "b", "c"]}])
def test_too_little_to_decide_is_a_warning(options: dict[str, object]) -> None:
    probe, found = measured(exponential(-0.1), **options)
    judged = probe.judge(found, None)
    assert judged.verdict is Verdict.WARN
    assert "undecided" in judged.message


def test_every_view_reads_the_dialogue_the_adapter_wrote() -> None:
    seen: list[Request[object]] = []
    null = View("b", "a", NullSeed("norm_matched", 0, 0, 0.02))
    measured(exponential(-0.1), prompts=["a"], seen=seen, null=[null], max_turns=3, positions=2)
    written = [r for r in seen if isinstance(r, Generate)]
    assert {r.view for r in written} == {TUNED}
    assert [r.max_new_tokens for r in written] == [96, 96, 1]  # of the last reply what is read, no more
    read = [r for r in seen if isinstance(r, Divergence)]
    by_view = {view: [(r.prompt, r.continuation) for r in read if r.q == view] for view in (TUNED, null)}
    assert by_view[TUNED] == by_view[null]
    assert {r.kind for r in read} == {"kl"}
    assert {r.p for r in read} == {BASE}
    assert by_view[TUNED][0][1] == (5,)
    roles = [t.role for t in by_view[TUNED][1][0] if not isinstance(t, str)]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_follow_ups_are_cycled() -> None:
    seen: list[Request[object]] = []
    measured(exponential(-0.1), prompts=["a"], seen=seen, follow_ups=["x", "y"])
    (last,) = [r for r in seen if isinstance(r, Generate) and len(r.prompt) == 7]
    users = [t.content for t in last.prompt if not isinstance(t, str) and t.role == "user"]
    assert users == ["a", "x", "y", "x"]


def test_an_adapter_that_says_nothing_is_still_measured() -> None:
    def answer(request: Request[object]) -> object:
        return Generation("", ()) if isinstance(request, Generate) else 0.3

    probe = MultiTurnCoherenceDecay(prompts=PROMPTS)
    views = Views(BASE, TUNED, TUNED)
    found = Engine(FakeBackend(answer)).run(probe, views).measured
    assert found.evidence["per_turn_kls"] == pytest.approx([0.3, 0.3, 0.3])


def test_bad_options_are_refused() -> None:
    for bad in ({"follow_ups": []}, {"max_turns": 1}, {"max_turns": 9}, {"positions": 0}, {"prompts": []}):
        with pytest.raises(OptionsError):
            MultiTurnCoherenceDecay(**{"prompts": ["a"], **bad})
