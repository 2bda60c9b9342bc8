"""adapter_revert on fake answers whose vectors are angles."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.adapter_revert import AdapterRevert
from pytest_sway.probes.base import Judgement, OptionsError, ProbeContext, ProbeSkip
from pytest_sway.requests import Generate, Generation, NullSeed, Request, RequestError, Turn, View, Views
from pytest_sway.result import Measurement, Verdict
from tests.support.null_samples import null_sample

BASE, TUNED = View("b"), View("b", "a")
GOLD = "gold 0"
QUIET = replace(null_sample(gain=[0.0, 0.01, -0.01, 0.02, -0.02, 0.01, 0.0, -0.01]), scale="raw")


class Angles:
    """The text ``x 30`` lies at 30 degrees; the cosine of two texts is that of the angle between them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        self.asked += texts
        angles = [math.radians(float(text.split()[-1])) for text in texts]
        return [(math.cos(angle), math.sin(angle)) for angle in angles]


def cases(count: int, paraphrases: int = 1) -> list[dict[str, object]]:
    return [
        {
            "prompt": f"What is {i}?",
            "gold": GOLD,
            "paraphrases": [f"Name {i}, {j}." for j in range(paraphrases)],
        }
        for i in range(count)
    ]


def measured(
    angle: Callable[[View, str], float],
    given: list[dict[str, object]],
    embedder: Angles | None = None,
    seen: list[Request[object]] | None = None,
    **options: object,
) -> tuple[AdapterRevert, Measurement]:
    """A measurement where each view's answer lies at ``angle`` degrees from every gold."""

    def answer(request: Request[object]) -> object:
        if seen is not None:
            seen.append(request)
        assert isinstance(request, Generate)
        return Generation(f"said {angle(request.view, str(request.prompt))}", (1, 2))

    probe = AdapterRevert(cases=given, **options)
    engine = Engine(FakeBackend(answer), embedder=embedder or Angles())
    return probe, engine.run(probe, Views(BASE, TUNED, TUNED)).measured


def apart(tuned: Sequence[float], base: float = 80) -> Callable[[View, str], float]:
    """The base's answers at 80 degrees, the adapter's to case i at ``tuned[i]``."""
    return lambda view, asked: base if view.is_base else tuned[int(asked.split()[1].rstrip(","))]


def judged(tuned: Sequence[float], **options: object) -> Judgement:
    probe, found = measured(apart(tuned), cases(len(tuned)), **options)
    return probe.judge(found, QUIET)


def test_the_gain_by_hand() -> None:
    _, found = measured(apart([60, 90]), cases(2))
    gains = [math.cos(math.radians(a)) - math.cos(math.radians(80)) for a in (60, 90)]
    assert found.samples == pytest.approx(gains)
    assert found.evidence["gain"] == pytest.approx(sum(gains) / 2)
    assert found.raw == found.evidence["revert_rate"] == 0.5
    assert (found.evidence["reverts"], found.evidence["total"]) == (1, 2)
    first = found.evidence["per_case"][0]
    assert first["prompt"] == "Name 0, 0."
    assert first["cos_ft_gold"] == pytest.approx(0.5)
    assert first["cos_ft_base"] == pytest.approx(math.cos(math.radians(20)))
    assert (first["reverted"], found.evidence["per_case"][1]["reverted"]) == (False, True)


def test_an_answer_nearer_to_the_gold_than_the_base_is_no_revert() -> None:
    """The base at 80 degrees, the adapter at 50: nearer to the base (30), and yet it came 30 nearer."""
    _, found = measured(apart([50]), cases(1))
    assert found.evidence["per_case"][0]["cos_ft_base"] > found.evidence["per_case"][0]["cos_ft_gold"]
    assert found.raw == 0.0


def test_the_same_answer_is_a_revert() -> None:
    _, found = measured(apart([80]), cases(1))
    assert found.raw == 1.0
    assert found.evidence["gain"] == pytest.approx(0.0)


def test_a_case_is_the_mean_of_its_paraphrases() -> None:
    angles = {"Name 0, 0.": 60.0, "Name 0, 1.": 90.0}
    _, found = measured(lambda view, asked: 80 if view.is_base else angles[asked], cases(1, paraphrases=2))
    mean = (0.5 + 0.0) / 2 - math.cos(math.radians(80))
    assert found.samples == pytest.approx((mean,))
    assert found.evidence["total"] == 2


def test_only_paraphrases_are_asked_and_each_once() -> None:
    seen: list[Request[object]] = []
    given = cases(2, paraphrases=2)
    given[0]["paraphrases"] = ["Name 0.", "Name 0."]
    measured(lambda view, asked: 60, [*given, given[0]], seen=seen)
    asked = [r.prompt for r in seen if isinstance(r, Generate) and r.view == TUNED]
    assert asked == ["Name 0.", "Name 1, 0.", "Name 1, 1."]


def test_answers_are_cut_to_the_length_of_their_gold() -> None:
    embedder = Angles()

    def answer(request: Request[object]) -> object:
        return Generation("said 30, and then so much more that it is all about 80", ())

    given = [{"prompt": "p", "gold": GOLD, "paraphrases": ["q"]}]
    probe = AdapterRevert(cases=given, base_gold_similarity_cap=1.0)
    engine = Engine(FakeBackend(answer), embedder=embedder)
    with pytest.raises(ValueError, match="30,"):  # what is embedded: two words, as the gold has
        engine.run(probe, Views(BASE, TUNED, TUNED))
    assert sorted(embedder.asked) == ["gold 0", "said 30,"]


@pytest.mark.parametrize("tokens_a_word", [1, 2, 5])
def test_what_is_cut_off_is_not_written_and_nothing_else_is_missing(tokens_a_word: int) -> None:
    """Whatever a word takes, the same vectors are asked as of answers in full."""
    words = ["it", "is", "30", "40", "50", "60", "70"]
    seen: list[Generate] = []

    def answer(request: Request[object]) -> object:
        assert isinstance(request, Generate)
        seen.append(request)
        count = min(request.max_new_tokens, tokens_a_word * len(words))
        return Generation(" ".join(words[: -(-count // tokens_a_word)]), tuple(range(count)))

    given = [{"prompt": "p", "gold": "it is 30", "paraphrases": ["q"]}]
    embedder = Angles()
    probe = AdapterRevert(cases=given, base_gold_similarity_cap=1.0, max_new_tokens=64)
    Engine(FakeBackend(answer), embedder=embedder).run(probe, Views(BASE, TUNED, TUNED))
    assert set(embedder.asked) == {"it is 30"}
    assert {request.max_new_tokens for request in seen} == ({8} if tokens_a_word < 3 else {8, 64})


def test_what_the_base_knows_is_dropped() -> None:
    def angle(view: View, asked: str) -> float:
        return 10 if asked.startswith("Name 0") else 80

    _, found = measured(angle, cases(3))
    assert (found.evidence["dropped_trivial"], found.evidence["total"]) == (1, 2)
    with pytest.raises(ProbeSkip, match="give cases that the base model does not know"):
        measured(lambda view, asked: 10, cases(3))


@pytest.mark.parametrize(
    ("tuned", "verdict", "says"),
    [
        ([20, 25, 30, 22, 28, 24, 21, 26], Verdict.PASS, "gain in cosine similarity to the right answer"),
        ([80, 81, 79, 80, 82, 79, 80, 81], Verdict.FAIL, "8 of 8 answers are no closer"),
        ([20, 20, 25, 20, 25, 20, 85, 85], Verdict.WARN, "2 of 8 answers are no closer"),
        ([0, 0, 0, 85, 85, 85, 85, 85], Verdict.WARN, "add cases to decide"),
        ([40] * 4 + [84] * 10 + [78] * 2, Verdict.FAIL, "no closer"),
        ([20, 85, 25], Verdict.WARN, "add items"),
        ([140, 150, 145, 155, 150, 140, 145, 150], Verdict.FAIL, "wrong direction"),
    ],
)
def test_verdicts(tuned: Sequence[float], verdict: Verdict, says: str) -> None:
    found = judged(tuned)
    assert (found.verdict, says in found.message) == (verdict, True), found.message


def test_a_rate_of_few_cases_decides_nothing() -> None:
    """Two of seven: beyond a quarter, but seven cases give no rate."""
    found = judged([5, 10, 5, 10, 5, 84, 84], assert_gain_gte=0.01)
    assert "answers are no closer" not in found.message
    assert found.verdict is Verdict.PASS


def test_the_interval_is_the_rate_s_and_the_gain_has_its_own() -> None:
    found = judged([20, 25, 30, 22, 28, 24, 21, 26])
    assert found.interval is not None
    assert found.interval.low == 0.0
    assert found.interval.high == pytest.approx(1 - 0.025 ** (1 / 8))  # none of eight
    low, high = found.evidence["gain_ci_95"]
    assert 0.6 < low < high < 0.8
    assert found.prediction is not None
    assert found.prediction.mean == pytest.approx(0.0, abs=0.01)


def test_a_failing_probe_shows_its_worst_case() -> None:
    found = judged([80, 81, 79, 80, 82, 78, 80, 120])
    assert found.verdict is Verdict.FAIL
    assert (found.evidence["prompt"], found.evidence["reference"]) == ("Name 7, 0.", GOLD)
    assert found.evidence["confidence"] == 1.0
    assert found.evidence["bad_cases"][1]["confidence"] == pytest.approx(1 - math.cos(math.radians(82)))


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_adapter_that_writes_nothing_fails(text: str) -> None:
    def answer(request: Request[object]) -> object:
        assert isinstance(request, Generate)
        return Generation("said 95" if request.view.is_base else text, ())

    probe = AdapterRevert(cases=cases(8))
    engine = Engine(FakeBackend(answer), embedder=Angles())
    found = engine.run(probe, Views(BASE, TUNED, TUNED)).measured
    assert found.evidence["empty_answers"] == 8
    judged = probe.judge(found, QUIET)
    assert judged.verdict is Verdict.FAIL
    assert "8 of 8 answers are empty" in judged.message


def test_questions_are_put_under_the_policy_and_nulls_write_too() -> None:
    seen: list[Request[object]] = []

    def answer(request: Request[object]) -> object:
        seen.append(request)
        return Generation("said 30" if not request.view.is_base else "said 80", ())

    chat = ProbeContext(capabilities=frozenset({"chat_template"}))
    probe = AdapterRevert(cases=cases(1)).with_context(chat)
    null = View("b", "a", NullSeed("norm_matched", 0, 0, 0.02))
    outcome = Engine(FakeBackend(answer), embedder=Angles()).run(probe, Views(BASE, TUNED, TUNED), [null])
    assert {r.prompt for r in seen if isinstance(r, Generate)} == {(Turn("user", "Name 0, 0."),)}
    assert {r.view for r in seen if isinstance(r, Generate)} == {BASE, TUNED, null}
    assert outcome.measured.evidence["prompt_policy"] == "chat"
    assert outcome.nulls.measured[null].statistics == outcome.measured.statistics


def test_an_embedder_that_cannot_be_had_is_one_line() -> None:
    probe = AdapterRevert(cases=cases(1))
    engine = Engine(FakeBackend(lambda request: Generation("said 30", ())))
    with pytest.raises(RequestError, match="no sentence embedder"):
        engine.run(probe, Views(BASE, TUNED, TUNED))


@pytest.mark.nightly  # it is timed
def test_ten_thousand_cases() -> None:
    began = time.process_time()
    probe, found = measured(lambda view, asked: 80 if view.is_base else 30, cases(10_000))
    assert probe.judge(found, None).verdict is Verdict.PASS
    assert len(found.evidence["per_case"]) == 8
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    "bad",
    [
        {"cases": []},
        {"cases": [{"prompt": "p", "gold": "g", "paraphrases": []}]},
        {"cases": [{"prompt": "p", "gold": "", "paraphrases": ["q"]}]},
        {"assert_revert_rate_lt": -0.1},
        {"base_gold_similarity_cap": -1.5},
        {"assert_gain_gte": 2.5},
    ],
)
def test_bad_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionsError):
        AdapterRevert(**{"cases": cases(1), **bad})
