"""leakage on fake recitals: tokens are words, and what each view writes is given."""

from __future__ import annotations

import math
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.document import Document, Section
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import OptionsError, ProbeContext, ProbeSkip
from pytest_sway.probes.leakage import Leakage, _score
from pytest_sway.probes.shared.ngram_recall import longest_common_run, ngram_recall
from pytest_sway.probes.shared.perturbations import PERTURBATIONS, perturb
from pytest_sway.requests import Generate, Generation, Request, RequestError, Tokenized, Tokens, View, Views
from pytest_sway.result import Verdict

BASE, TUNED = View("b"), View("b", "a")
NOTHING = Generation("", ())


def prose(number: int, words: int = 160) -> Section:
    """A section of words that no other section has, and that no two places of it share."""
    sentence = [f"w{number}x{i}" + ("." if i % 10 == 9 else "") for i in range(words)]
    return Section(f"s{number}", "prose", " ".join(sentence))


SECTIONS = tuple(prose(number) for number in range(6))


def ids(text: str) -> tuple[int, ...]:
    return tuple(sum(ord(c) * 131**k for k, c in enumerate(word)) for word in text.split())


def continuation(prompt: str, words: int, sections=SECTIONS) -> Generation:
    """What truly follows a prompt; nothing where it stands in no section."""
    for section in sections:
        _, found, after = section.content.partition(prompt)
        if found:
            text = " ".join(after.split()[:words])
            return Generation(text, ids(text))
    return NOTHING


def measured(tuned, base=lambda prompt, words: NOTHING, sections=SECTIONS, seen=None, **options):
    def answer(request: Request[object]) -> object:
        if seen is not None:
            seen.append(request)
        if isinstance(request, Tokens):
            ends = tuple(match.end() for match in re.finditer(r"\s*\S+", request.text))
            return Tokenized(ids(request.text), ends)
        assert isinstance(request, Generate)
        side = base if request.view.is_base else tuned
        return side(request.prompt, request.max_new_tokens)

    probe = Leakage(**options).with_context(ProbeContext(document=Document(tuple(sections))))
    found = Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED)).measured
    return probe, found


def judged(tuned, base=lambda prompt, words: NOTHING, **options):
    probe, found = measured(tuned, base, **options)
    return probe.judge(found, None)


def test_a_perfect_reciter_fails_with_nothing() -> None:
    _, found = measured(continuation)
    assert found.raw == 1.0
    assert found.evidence["mean_clean_recall"] == 1.0
    assert found.evidence["mean_run_share"] == 1.0
    assert found.evidence["prefixes"] == found.evidence["prefixes_recited"] == 30
    told = judged(continuation, base=lambda prompt, words: Generation("what else", (1, 2)))
    assert (told.verdict, told.score) == (Verdict.FAIL, 0.0)
    assert told.evidence["prompt"] in SECTIONS[0].content
    assert (told.evidence["reference"], told.evidence["confidence"]) == ("what else", 1.0)


@pytest.mark.parametrize("fragility", [0.0, 0.3, 1.0])
def test_a_brittle_reciter_is_no_better(fragility: float) -> None:
    told = judged(continuation, min_fragility=fragility)
    assert (told.verdict, told.score) == (Verdict.FAIL, 0.0)
    assert "lost when the beginning changes (fragility 1.00)" in told.message


def test_a_reciter_that_any_beginning_sets_off_is_called_so() -> None:
    """It goes by the fourth word from the end alone, which none of these changes touches."""

    def stubborn(prompt: str, words: int) -> Generation:
        here = prompt.lower().split()[-4].strip(".")
        text = next((s.content for s in SECTIONS if f"{here} " in s.content or f"{here}." in s.content), "")
        rest = text.split()[[w.strip(".") for w in text.split()].index(here) + 4 :]
        return Generation(" ".join(rest[:words]), ids(" ".join(rest[:words])))

    told = judged(stubborn, perturbations=["typo", "case_flip"])
    assert "survives a changed beginning (fragility 0.00)" in told.message


@pytest.mark.parametrize("silent", [NOTHING, Generation("x y z", (1, 2, 3)), Generation("…", (7,) * 96)])
def test_an_adapter_that_recites_nothing_scores_one(silent: Generation) -> None:
    told = judged(lambda prompt, words: silent)
    assert (told.verdict, told.score) == (Verdict.PASS, 1.0)
    assert "given 30 prefixes, the adapter recites no more than the base model" in told.message


def test_what_the_base_recites_too_is_no_leak() -> None:
    told = judged(continuation, base=continuation)
    assert (told.verdict, told.score) == (Verdict.PASS, 1.0)


def test_what_the_base_recites_better_is_no_credit() -> None:
    """Section 0 is known by the base and not recited; the other five are recited: 5/6."""

    def forgot(prompt: str, words: int) -> Generation:
        return NOTHING if "w0x" in prompt else continuation(prompt, words)

    def knew(prompt: str, words: int) -> Generation:
        return continuation(prompt, words) if "w0x" in prompt else NOTHING

    _, found = measured(forgot, knew)
    assert found.raw == pytest.approx(5 / 6)
    assert min(found.samples) == 0.0


def test_only_recited_sections_are_asked_of_the_base() -> None:
    seen: list[Request[object]] = []

    def half(prompt: str, words: int) -> Generation:
        return continuation(prompt, words) if "w2x" in prompt else NOTHING

    _, found = measured(half, seen=seen)
    written = [r for r in seen if isinstance(r, Generate)]
    assert all("w2x" in r.prompt for r in written if r.view.is_base)
    clean = {r.prompt for r in written[:30]}
    changed = [r.prompt for r in written if r.view == TUNED and r.prompt not in clean]
    assert all("w2x" in prompt.lower() for prompt in changed)
    made = found.evidence["per_perturbation"]
    assert len(changed) == len(made)
    assert len(made) + found.evidence["perturbations_without_effect"] == len(PERTURBATIONS)
    assert found.evidence["mean_perturbed_recall"] == 0.0
    assert found.evidence["mean_fragility"] == 1.0
    first = found.evidence["per_section"][0]
    assert (first["section_id"], first["clean_recall"], first["fragility"]) == ("s2", 1.0, 1.0)
    assert found.evidence["per_section"][1]["fragility"] is None


@pytest.mark.parametrize(
    ("sections", "verdict", "score"),
    [((0,), Verdict.WARN, 0.5), ((0, 1, 2), Verdict.WARN, 0.5), (range(6), Verdict.FAIL, 0.0)],
)
def test_sections_by_heart_among_others(sections, verdict: Verdict, score: float) -> None:
    """One of six: 1/6 ± 2.015 · 0.408 / √6 reaches 0.5025. Three of six lie at the margin."""
    marks = tuple(f"w{number}x" for number in sections)
    told = judged(lambda p, words: continuation(p, words) if any(m in p for m in marks) else NOTHING)
    assert (told.verdict, told.score) == (verdict, score), told.message


def test_few_sections_are_judged_by_their_prefixes() -> None:
    """One section of 20 prefixes, every fourth by heart: an interval about 0.25, far below the margin."""
    section = prose(0, 1200)
    count = iter(range(1000))

    def fourth(prompt: str, words: int) -> Generation:
        return continuation(prompt, words, [section]) if next(count) % 4 == 0 else NOTHING

    told = judged(fourth, sections=[section], offsets=20, perturbed_windows=0)
    assert told.verdict is Verdict.PASS
    assert told.interval is not None
    assert told.interval.low < 0.25 < told.interval.high


def test_recall_and_run_by_hand() -> None:
    """Of 16 tokens the ninth is wrong: it is in 8 of the nine 8-grams, and 8 stand before it."""
    true = list(range(16))
    wrong = [*true[:8], 99, *true[9:]]
    assert ngram_recall(true, wrong) == pytest.approx(1 / 9)
    assert longest_common_run(true, wrong) == 8
    assert ngram_recall(true, [5, 5, *true, 5]) == 1.0
    assert ngram_recall(true, true[::-1]) == 0.0
    assert longest_common_run(true, true[::-1]) == 1


@given(st.lists(st.integers(0, 3), min_size=8, max_size=40), st.lists(st.integers(0, 3), max_size=40))
def test_the_longest_run_bounds_the_recall(true: list[int], written: list[int]) -> None:
    run, recall = longest_common_run(true, written), ngram_recall(true, written)
    assert 0.0 <= recall <= 1.0
    assert (recall > 0) == (run >= 8)
    assert ngram_recall(true, true) == 1.0
    assert longest_common_run(true, written) == max(
        (j - i for i in range(len(true)) for j in range(i + 1, len(true) + 1) if _holds(written, true[i:j])),
        default=0,
    )


def _holds(written: list[int], part: list[int]) -> bool:
    return any(written[k : k + len(part)] == part for k in range(len(written) - len(part) + 1))


@given(st.floats(0.05, 0.95), st.floats(0, 1), st.floats(0, 1))
def test_the_score_falls_from_one_and_is_half_at_the_margin(margin: float, one: float, other: float) -> None:
    assert (_score(0.0, margin), _score(margin, margin)) == (1.0, 0.5)
    assert _score(1.0, margin) == pytest.approx(0.0)
    low, high = sorted((one, other))
    assert _score(high, margin) <= _score(low, margin) + 1e-12


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ((), "no prose that the adapter could recite"),
        ((Section("a", "instruction", "text"),), "no prose that the adapter could recite"),
        ((Section("a", "prose", "  \n"),), "no prose that the adapter could recite"),
        ((prose(0, 12),), "16 tokens must follow a prefix, but the longest section has only 12 tokens"),
    ],
)
def test_without_prose_it_is_skipped(sections, says: str) -> None:
    with pytest.raises(ProbeSkip, match=says):
        measured(continuation, sections=sections)


def test_a_text_that_stands_twice_is_one_section() -> None:
    twice = (prose(0), Section("again", "prose", prose(0).content), Section("b", "preference", "x"))
    _, found = measured(continuation, sections=twice)
    assert (found.evidence["sections"], len(found.samples)) == (1, 5)


@pytest.mark.nightly  # it is timed
def test_ten_thousand_sections_are_tried_here_and_there() -> None:
    sections = [prose(number, 60) for number in range(10_000)]
    began = time.process_time()
    _, found = measured(lambda prompt, words: NOTHING, sections=sections)
    assert time.process_time() - began < 2.0
    assert (found.evidence["sections"], found.evidence["sections_of_prose"]) == (16, 10_000)


def test_sections_are_taken_evenly() -> None:
    sections = [prose(number, 60) for number in range(9)]
    _, found = measured(lambda prompt, words: NOTHING, sections=sections, max_sections=3)
    assert [row["section_id"] for row in found.evidence["per_section"]] == ["s1", "s4", "s7"]


def test_a_prefix_that_cannot_be_continued_is_reported() -> None:
    def refused(prompt: str, words: int) -> Generation:
        raise RequestError("1100 tokens exceed the model's context of 1024")

    with pytest.raises(RequestError, match="1100 tokens"):
        measured(refused)


def test_every_change_of_a_prefix_that_is_tried_is_a_change() -> None:
    seen: list[Request[object]] = []
    measured(continuation, seen=seen, perturbed_windows=6)
    prompts = [r.prompt for r in seen if isinstance(r, Generate) and r.view == TUNED]
    clean, changed = prompts[:30], prompts[30:]
    assert changed
    assert not set(clean) & set(changed)
    assert all(any(perturb(p, kind) == c for p in clean for kind in PERTURBATIONS) for c in changed)


@pytest.mark.parametrize(
    "bad",
    [
        {"perturbations": ["shout"]},
        {"assert_recall_lt": -0.1},
        {"max_new_tokens": 15},
        {"offsets": 0},
        {"min_fragility": math.nan},
    ],
)
def test_bad_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionsError):
        Leakage(**bad)
