"""prompt_collapse on fake divergences."""

from __future__ import annotations

import math
import re
import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.data.packaged_texts import passages
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import OptionsError, ProbeContext, ProbeError, ProbeSkip
from pytest_sway.probes.prompt_collapse import STUFFING, PromptCollapse
from pytest_sway.requests import (
    Divergence,
    Generate,
    Generation,
    NullSeed,
    Request,
    RequestError,
    Tokenized,
    Tokens,
    Turn,
    View,
    Views,
)
from pytest_sway.result import Verdict
from tests.support.measures import driven
from tests.support.null_samples import null_sample

BASE, TUNED = View("b"), View("b", "a")
NULL = View("b", "a", NullSeed("norm_matched", 0, 0, 0.02))
PROMPTS = ["ask one", "ask two", "ask three", "ask four", "ask five"]
EIGHT = [0.010, 0.012, 0.009, 0.011, 0.010, 0.013, 0.008, 0.011]
QUIET = null_sample(signal=EIGHT, last=EIGHT)


@cache
def word_tokenizer(text: str) -> Tokenized:
    """A token per word, and one per blank line."""
    found = list(re.finditer(r"\n\n|[^\s]+", text))
    return Tokenized(tuple(range(len(found))), tuple(m.end() for m in found))


def characters(text: str) -> Tokenized:
    """A token per character; ranges, since tuples of ten thousand texts would take long to make."""
    return Tokenized(range(len(text)), range(1, len(text) + 1))  # type: ignore[arg-type]


def measured(curve, prompts=PROMPTS, seen=None, null=(), setting=None, said=(5, 6, 7), **options):
    """A measurement where the divergence is ``curve(true tokens before the prompt, index of the prompt)``."""

    def answer(request: Request[object]) -> object:
        if seen is not None:
            seen.append(request)
        if isinstance(request, Tokens):
            return word_tokenizer(request.text)
        if isinstance(request, Generate):
            return Generation("reply", said)
        assert isinstance(request, Divergence)
        prompt = request.prompt
        text = prompt if isinstance(prompt, str) else prompt[-1].content
        own = text.rpartition("\n\n")[2]
        return curve(len(word_tokenizer(text).ids) - len(word_tokenizer(own).ids), prompts.index(own))

    probe = PromptCollapse(prompts=prompts, **options).with_context(setting or ProbeContext())
    views = Views(BASE, TUNED, TUNED)
    return probe, Engine(FakeBackend(answer)).run(probe, views, null).measured


def exponential(rate: float):
    """Of a distance; the prompts' rates lie evenly around ``rate``."""
    return lambda n, i: 0.4 * math.exp((rate + 5e-6 * (i - 2)) * n)


@given(st.floats(-0.05, -0.001), st.booleans())
@settings(max_examples=25)
def test_the_half_life_is_in_tokens_whatever_the_filler(rate: float, stuffing: bool) -> None:
    lengths = [0, 16, 32, 64]
    _, found = measured(
        lambda n, i: 0.4 * math.exp(rate * n), context_lengths=lengths, legacy_stuffing=stuffing
    )
    assert found.raw == pytest.approx(min(math.log(2) / -rate, 640.0))
    if stuffing:  # four characters a token, of which this tokenizer needs fewer
        assert found.evidence["true_tokens_per_length"][3] < 64
    else:  # the blank line between the filler and the prompt is a token, too
        assert found.evidence["true_tokens_per_length"] == [0, 17, 33, 65]


@pytest.mark.parametrize(
    ("curve", "verdict", "status", "says"),
    [
        (exponential(-0.0005), Verdict.PASS, "ok", "half-life 1386 tokens (at least 512 required)"),
        (lambda n, i: 0.4, Verdict.PASS, "stable", "no decay over 1024 tokens"),
        (lambda n, i: 0.4 * (1 + n / 1000), Verdict.PASS, "non_monotonic", "no decay"),
        (lambda n, i: 0.4 if n == 0 else 0.08, Verdict.PASS, "stable", "no decay"),
        (
            exponential(-0.0025),
            Verdict.WARN,
            "ok",
            "the effect fades too fast: half-life 277 tokens (at least 512 required); at 1024 tokens",
        ),
        (exponential(-0.006), Verdict.FAIL, "ok", "gone at 1024 tokens"),
        (lambda n, i: 0.4 if n == 0 else 0.0, Verdict.FAIL, "degenerate", "gone at 1024 tokens"),
    ],
)
def test_verdicts(curve, verdict: Verdict, status: str, says: str) -> None:
    """The step from 0 is no decay; flat and growing is no collapse."""
    probe, found = measured(curve)
    judged = probe.judge(found, QUIET)
    assert (judged.verdict, says in judged.message) == (verdict, True), judged.message
    assert found.evidence["fit_status"] == status


@pytest.mark.parametrize("nats", [0.0, 0.0199])
def test_without_a_signal_no_long_text_is_read(nats: float) -> None:
    """Neither by the adapter nor by a null."""
    seen: list[Request[object]] = []
    null = View("b", "a", NullSeed("norm_matched", 0, 0, 0.02))
    with pytest.raises(ProbeSkip, match=r"effect too weak to judge its shape: .* below its floor"):
        measured(lambda n, i: nats, seen=seen, null=[null])
    read = [request for request in seen if isinstance(request, Divergence)]
    assert {request.prompt for request in read} == set(PROMPTS)
    assert len(read) == 2 * len(PROMPTS)


def test_without_a_floor_the_judgement_says_that_there_is_nothing() -> None:
    probe, found = measured(lambda n, i: 0.0, min_signal=0)
    judged = probe.judge(found, QUIET)
    assert judged.verdict is Verdict.SKIP
    assert "effect too weak to judge its shape" in judged.message


def test_a_decay_that_may_be_none_asks_for_prompts() -> None:
    rates = [-0.004, 0.002, -0.003, 0.001, -0.001]
    probe, found = measured(lambda n, i: 0.4 * math.exp(rates[i] * n))
    judged = probe.judge(found, QUIET)
    assert judged.verdict is Verdict.WARN
    assert "; add prompts" in judged.message


def test_what_is_left_without_a_null_is_compared_with_the_floor() -> None:
    probe, found = measured(exponential(-0.003))  # 0.4·exp(-3.1) = 0.018
    assert probe.judge(found, None).verdict is Verdict.FAIL
    probe, found = measured(exponential(-0.0025))  # 0.4·exp(-2.6) = 0.031
    assert probe.judge(found, None).verdict is Verdict.WARN


def test_three_prompts_and_their_repetition_decide_nothing() -> None:
    probe, found = measured(exponential(-0.0005), prompts=[*PROMPTS[:3], *PROMPTS[:3]])
    assert found.evidence["num_prompts"] == 3
    judged = probe.judge(found, QUIET)
    assert (judged.verdict, "at least 4 prompts are needed" in judged.message) == (Verdict.WARN, True)


def test_every_view_reads_the_same_text_at_every_length() -> None:
    seen: list[Request[object]] = []
    measured(exponential(-0.001), PROMPTS[:2], seen, [NULL], context_lengths=[64, 128, 256], positions=4)
    (written,) = [{r for r in seen if isinstance(r, Generate)}]
    assert {(r.prompt, r.view, r.max_new_tokens) for r in written} == {(p, TUNED, 3) for p in PROMPTS[:2]}
    read = [r for r in seen if isinstance(r, Divergence)]
    assert {(r.p, r.kind, r.continuation) for r in read} == {(BASE, "js", (5, 6, 7))}
    mine, its = ({r.prompt for r in read if r.q == view} for view in (TUNED, NULL))
    assert (len(mine), len(its)) == (8, 4)  # 0 is always asked: it is the signal
    assert its == {text for p in PROMPTS[:2] for text in (p, max((m for m in mine if p in m), key=len))}


def test_each_prompt_stands_behind_prose_that_begins_elsewhere() -> None:
    seen: list[Request[object]] = []
    measured(exponential(-0.001), seen=seen, divergence="kl")
    read = {r.prompt: r for r in seen if isinstance(r, Divergence)}
    longest = [max((text for text in read if text.endswith(f"\n\n{p}")), key=len) for p in PROMPTS]
    assert [text[:40] for text in longest] == [passage.text[:40] for passage in passages()[:5]]
    for prompt, whole in zip(PROMPTS, longest, strict=True):  # a longer one has more before it, not after it
        assert all(whole.endswith(text) for text in read if text.endswith(prompt))
    assert {(r.p, r.q) for r in read.values()} == {(TUNED, BASE)}


def test_prose_is_repeated_where_more_is_asked_than_there_is() -> None:
    whole = len(word_tokenizer("\n\n".join(p.text for p in passages())).ids)
    _, found = measured(lambda n, i: 0.4, ["ask one"], context_lengths=[0, 2 * whole, 3 * whole])
    assert found.evidence["true_tokens_per_length"] == [0, 2 * whole + 1, 3 * whole + 1]


def test_stuffing_is_one_sentence_over_and_over() -> None:
    seen: list[Request[object]] = []
    measured(exponential(-0.001), ["ask one"], seen, legacy_stuffing=True, context_lengths=[0, 32, 64])
    read = max((r.prompt for r in seen if isinstance(r, Divergence)), key=len)
    assert read == (STUFFING * 10)[:256].rstrip() + "\n\nask one"


def test_lengths_beyond_the_context_are_left_out_and_reported() -> None:
    fits = ProbeContext(context_length=540)
    probe, found = measured(exponential(-0.0005), setting=fits)
    assert found.evidence["context_lengths"] == [0, 256, 512]
    assert found.evidence["lengths_left_out"] == [1024]
    judged = probe.judge(found, QUIET)
    assert judged.verdict is Verdict.PASS
    assert (
        "after 512 tokens of other text; lengths left out, because they exceed the model's context: 1024)"
        in judged.message
    )


@pytest.mark.parametrize(
    ("options", "context", "says"),
    [
        ({}, 520, "1 of the context_lengths > 0 fit into the model's context of 520 tokens"),
        ({}, 1, "0 of the context_lengths > 0 fit"),
        (
            {"context_lengths": [0, 256]},
            None,
            "context_lengths needs at least 2 different lengths > 0, but has 1",
        ),
    ],
)
def test_too_few_lengths_for_a_slope_are_a_skip(options, context, says: str) -> None:
    with pytest.raises(ProbeSkip, match=says):
        measured(exponential(-0.001), setting=ProbeContext(context_length=context), **options)


def test_a_prompt_is_a_question_only_where_the_spec_says_chat() -> None:
    for policy, kind in (("auto", str), ("raw", str), ("chat", tuple)):
        seen: list[Request[object]] = []
        setting = ProbeContext(policy=policy, capabilities=frozenset({"chat_template"}))
        _, found = measured(exponential(-0.001), seen=seen, setting=setting)
        assert {type(r.prompt) for r in seen if not isinstance(r, Tokens)} == {kind}
        assert found.evidence["prompt_policy"] == ("chat" if kind is tuple else "raw")
    assert {t.role for r in seen if isinstance(r, Generate) for t in r.prompt if isinstance(t, Turn)} == {
        "user"
    }


def test_an_adapter_that_says_nothing_is_still_measured() -> None:
    _, found = measured(lambda n, i: 0.3, said=())
    assert found.evidence["mean_divergence_per_length"] == pytest.approx([0.3] * 4)


def test_a_prompt_that_does_not_fit_by_itself_is_one_line() -> None:
    def answer(request: Request[object]) -> object:
        if isinstance(request, Tokens):
            return word_tokenizer(request.text)
        raise RequestError("2000 tokens exceed the model's context of 1024")

    probe = PromptCollapse(prompts=["x"])
    with pytest.raises(RequestError, match="exceed the model's context"):
        Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED))


def test_a_tokenizer_without_english_is_one_line() -> None:
    probe = PromptCollapse(prompts=["x"])
    backend = FakeBackend(lambda request: Tokenized((), ()))
    with pytest.raises(ProbeError, match="no tokens for English prose"):
        Engine(backend).run(probe, Views(BASE, TUNED, TUNED))


@pytest.mark.nightly  # it is timed
def test_ten_thousand_prompts_in_two_seconds() -> None:
    def answer(request: Request[object]) -> object:
        if isinstance(request, Tokens):
            return characters(request.text)
        return Generation("", ()) if isinstance(request, Generate) else 0.3

    probe = PromptCollapse(prompts=[f"prompt {i}" for i in range(10_000)], context_lengths=[0, 64, 128])
    began = time.process_time()
    found = driven(probe.measure(Views(BASE, TUNED, TUNED)), answer)
    assert probe.judge(found, QUIET).verdict is Verdict.PASS
    assert time.process_time() - began < 2


@given(st.lists(st.text(min_size=1), min_size=4, max_size=6, unique=True))
@settings(max_examples=25)
def test_any_unicode_is_a_prompt(prompts: list[str]) -> None:
    def answer(request: Request[object]) -> object:
        if isinstance(request, Tokens):
            return characters(request.text)
        return Generation("", ()) if isinstance(request, Generate) else 0.3

    probe = PromptCollapse(prompts=prompts, context_lengths=[0, 5, 9])
    found = Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED)).measured
    assert found.evidence["true_tokens_per_length"] == [0, 7, 11]
    assert len(found.samples) == len(prompts)


def test_bad_options_are_refused() -> None:
    for bad in (
        {"context_lengths": [0]},
        {"context_lengths": [-1, 5, 9]},
        {"context_lengths": ["a few", 9]},
        {"assert_half_life_tokens": float("inf")},
        {"prompts": []},
    ):
        with pytest.raises(OptionsError):
            PromptCollapse(**{"prompts": ["a"], **bad})
