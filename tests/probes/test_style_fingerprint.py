"""style_fingerprint on fake texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.data.packaged_texts import elicitation
from pytest_sway.document import Document, Section
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import Judgement, NullSample, OptionsError, ProbeContext, ProbeError, ProbeSkip
from pytest_sway.probes.style_fingerprint import StyleFingerprint, _distance_reduction, _shares
from pytest_sway.requests import Generate, Generation, NullSeed, Request, RequestError, Turn, View, Views
from pytest_sway.result import Measurement, Verdict
from tests.support.prose import BRIEF, GRAND, Manner, prose

BASE, TUNED = View("b"), View("b", "a")
THINGS = ["tea", "bread", "rain", "snow", "fire", "wood", "sand", "wool"]
PROMPTS = [f"Tell me about {thing}." for thing in THINGS]
DOCUMENT = "\n\n".join(prose(GRAND, seed) for seed in range(100, 106))
Writer = Callable[[View, int], str]


def by(base: Manner, tuned: Manner, null: Manner = BRIEF) -> Writer:
    """Each side in its own manner; the draws of a null differ."""

    def write(view: View, prompt: int) -> str:
        if view.is_base:
            return prose(base, prompt)
        if view.null is not None:
            return prose(null, 1000 * (1 + view.null.draw) + prompt)
        return prose(tuned, 500 + prompt)

    return write


def measured(
    write: Writer,
    prompts: Sequence[str] = PROMPTS,
    seen: list[Request[object]] | None = None,
    nulls: int = 0,
    setting: ProbeContext | None = None,
    tokens: int = 10,
    **options: object,
) -> tuple[StyleFingerprint, Measurement, NullSample | None]:
    def answer(request: Request[object]) -> object:
        assert isinstance(request, Generate)
        if seen is not None:
            seen.append(request)
        asked = request.prompt if isinstance(request.prompt, str) else request.prompt[0].content
        return Generation(write(request.view, prompts.index(asked)), tuple(range(tokens)))

    told = {"prompts": list(prompts), "doc_reference": DOCUMENT, "extended": "off", **options}
    probe = StyleFingerprint(**told).with_context(setting or ProbeContext())
    views = [View("b", "a", NullSeed("norm_matched", i, 0, 0.02)) for i in range(nulls)]
    outcome = Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED), views)
    assert not outcome.nulls.failed
    population = NullSample(
        tuple(outcome.nulls.measured.values()), "norm_matched", StyleFingerprint.scale or "raw"
    )
    return probe, outcome.measured, population if nulls else None


def judged(write: Writer, **options: object) -> Judgement:
    probe, found, nulls = measured(write, **options)
    return probe.judge(found, nulls)


def test_the_base_s_own_texts_are_no_shift() -> None:
    _, found, _ = measured(lambda view, prompt: prose(BRIEF, prompt))
    assert found.raw == 0.0
    assert found.evidence["style_shift"] == 0.0


def test_the_document_s_own_text_is_the_whole_way() -> None:
    parts = DOCUMENT.split("\n\n")  # six texts are no six paragraphs of one
    write = lambda view, prompt: prose(BRIEF, prompt) if view.is_base else parts[prompt]  # noqa: E731
    _, found, _ = measured(write, prompts=PROMPTS[:6], doc_reference=" ".join(parts))
    assert found.raw == pytest.approx(1.0, abs=0.01)
    assert found.evidence["style_shift"] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("tuned", "verdict", "says"),
    [
        (GRAND, Verdict.PASS, "of the way to the document's style"),
        (BRIEF, Verdict.FAIL, "no clear difference from random adapters"),
        (Manner(3, 3, 100), Verdict.FAIL, "of the way"),
        (Manner(60, 11, 2), Verdict.FAIL, "of the way"),
    ],
    ids=["like the document", "like the base", "away from it", "far beyond it"],
)
def test_verdicts(tuned: Manner, verdict: Verdict, says: str) -> None:
    found = judged(by(BRIEF, tuned), nulls=8)
    assert (found.verdict, says in found.message) == (verdict, True), found.message


def test_the_evidence_has_dlm_sways_number() -> None:
    _, found, _ = measured(by(BRIEF, Manner(60, 11, 2)))
    assert found.evidence["style_shift"] > 1
    assert found.raw is not None
    assert found.raw < 0
    assert sum(found.evidence["contributions"].values()) == pytest.approx(found.evidence["style_shift"])


@settings(max_examples=50)
@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 3), min_size=2, max_size=9))
def test_nearness_never_exceeds_the_projection(rows: list[tuple[float, float, float]]) -> None:
    """|d - t| ≥ the part of d - t along d - b, which is (1 - projection)·|d - b|."""
    base, tuned, document = (np.array(side) for side in zip(*rows, strict=True))
    if np.linalg.norm(document - base) < 1e-3:
        return
    one = np.ones_like(base)
    assert _distance_reduction(base, tuned, document, one) <= _shares(base, tuned, document, one).sum() + 1e-9


def test_line_breaks_alone_are_no_style() -> None:
    """Unscaled, the same words without their line breaks were 0.61 of the way, and passed."""
    flat = [prose(BRIEF, prompt) for prompt in range(8)]
    listed = [text.replace(". ", ".\n\n") for text in flat]
    write = lambda view, prompt: listed[prompt] if view.is_base else flat[prompt]  # noqa: E731
    found = judged(write, nulls=8)
    assert found.verdict is Verdict.FAIL


def test_short_answers_are_measured_by_what_they_are() -> None:
    """One sentence a prompt against ninety words of the base's: no dimension is the length itself."""
    write = lambda view, i: prose(BRIEF, i) if view.is_base else prose(BRIEF, 50 + i, count=1)  # noqa: E731
    probe, found, _ = measured(write)
    assert found.evidence["window"] < 10
    assert probe.judge(found, None).verdict is not Verdict.PASS
    alike = lambda view, i: prose(BRIEF, i) if view.is_base else prose(GRAND, 50 + i, count=1)  # noqa: E731
    assert (measured(alike)[1].raw or 0) > 0.4


def test_where_texts_were_cut_off_the_document_is_cut_too() -> None:
    _, found, _ = measured(by(BRIEF, GRAND), max_new_tokens=10, tokens=10)
    assert found.evidence["pieces"] > 1
    _, ended, _ = measured(by(BRIEF, GRAND), max_new_tokens=11, tokens=10)
    assert ended.evidence["pieces"] == 1


def test_a_document_like_the_base_is_skipped() -> None:
    found = judged(by(GRAND, BRIEF), nulls=3, doc_reference=DOCUMENT.replace("\n\n", " "))
    assert found.verdict is Verdict.SKIP
    assert "too close to the base model's" in found.message


@pytest.mark.parametrize("text", ["", "  \n", "No."])
def test_an_adapter_that_writes_nothing_fails(text: str) -> None:
    found = judged(lambda view, i: prose(BRIEF, i) if view.is_base else text)
    assert found.verdict is Verdict.FAIL
    assert found.distinguishable is False
    assert "almost nothing" in found.message


def test_a_base_that_writes_nothing_is_an_error() -> None:
    with pytest.raises(ProbeError, match="give other prompts or increase max_new_tokens"):
        measured(lambda view, i: "" if view.is_base else prose(GRAND, i))


def test_a_null_that_writes_nothing_is_one_draw_less() -> None:
    def write(view: View, i: int) -> str:
        return "" if view.null is not None and view.null.draw == 0 else by(BRIEF, GRAND)(view, i)

    found = judged(write, nulls=8)
    assert found.prediction is not None
    assert found.prediction.n == 7


def test_without_a_document_it_is_skipped_before_any_request() -> None:
    seen: list[Request[object]] = []
    with pytest.raises(ProbeSkip, match="set doc_reference to its text"):
        measured(by(BRIEF, GRAND), seen=seen, doc_reference=" ")
    assert not seen


def test_the_document_is_the_spec_s_where_no_other_is_given() -> None:
    """Section by section: the empty lines between them are not the author's."""
    parts = DOCUMENT.split("\n\n")
    setting = ProbeContext(document=Document(tuple(Section(p[:9], content=p) for p in parts)))
    _, found, _ = measured(by(BRIEF, GRAND), setting=setting, doc_reference="")
    assert found.evidence["words"]["document"] == len(DOCUMENT.split())
    assert found.evidence["doc_fp"][-1] == 0.0
    assert measured(by(BRIEF, GRAND))[1].evidence["doc_fp"][-1] > 0.0


def test_a_document_of_a_few_words_is_an_error() -> None:
    with pytest.raises(ProbeError, match="the document has only 3 words, but at least 50 are needed"):
        measured(by(BRIEF, GRAND), doc_reference="Far too short.")


def test_instructions_are_turns_and_unfinished_texts_continued() -> None:
    chat = frozenset({"chat_template"})
    asked = ["Tell me more.", "The master of the works is", "Why?", "Tea 。"]

    def put(policy: str) -> list[object]:
        seen: list[Request[object]] = []
        setting = ProbeContext(policy=policy, capabilities=chat)  # type: ignore[arg-type]
        _, found, _ = measured(by(BRIEF, GRAND), prompts=asked, seen=seen, setting=setting)
        told.append(found.evidence["prompt_policy"])
        return [r.prompt for r in seen[:4] if isinstance(r, Generate)]

    told: list[str] = []
    turns = [(Turn("user", text),) for text in asked]
    assert put("auto") == [turns[0], asked[1], turns[2], turns[3]]
    assert put("chat") == turns
    assert put("raw") == asked
    assert told == ["chat and raw", "chat", "raw"]


def test_the_packaged_prompts_are_put_where_none_are_given() -> None:
    packaged = list(elicitation())

    def answer(request: Request[object]) -> object:
        assert isinstance(request, Generate)
        seen.append(request.prompt)
        return Generation(prose(BRIEF, packaged.index(str(request.prompt))), ())

    seen: list[object] = []
    probe = StyleFingerprint(doc_reference=DOCUMENT, extended="off")
    Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED))
    assert seen[:12] == packaged


def test_a_null_writes_its_own_text_and_everyone_the_same_length() -> None:
    seen: list[Request[object]] = []
    measured(by(BRIEF, GRAND), seen=seen, nulls=2, max_new_tokens=33)
    assert len({r.view for r in seen if isinstance(r, Generate)}) == 4
    assert {r.max_new_tokens for r in seen if isinstance(r, Generate)} == {33}
    assert len(seen) == 4 * len(PROMPTS)


def test_extended_on_without_its_pipeline_says_what_to_download() -> None:
    with pytest.raises(ProbeSkip, match=r"extended: on, but .*python -m spacy download en_core_web_sm"):
        measured(by(BRIEF, GRAND), extended="on")


def test_extended_auto_without_pipeline_has_six_dimensions() -> None:
    _, found, _ = measured(by(BRIEF, GRAND), extended="auto")
    assert found.evidence["extended"] is False
    assert "python -m spacy download en_core_web_sm" in found.evidence["extended_reason"]
    assert [len(found.evidence[key]) for key in ("base_fp", "ft_fp", "doc_fp", "dimensions")] == [6] * 4


def test_few_prompts_pass_nothing() -> None:
    one = judged(by(BRIEF, GRAND), prompts=PROMPTS[:1])
    assert one.verdict is Verdict.WARN
    assert one.interval is None


def test_the_order_of_the_prompts_does_not_matter() -> None:
    write = by(BRIEF, GRAND)
    _, found, _ = measured(write)
    _, turned, _ = measured(lambda view, i: write(view, 7 - i), prompts=PROMPTS[::-1])
    assert turned.raw == pytest.approx(found.raw)


def test_a_repeated_prompt_is_no_further_item() -> None:
    seen: list[Request[object]] = []
    measured(by(BRIEF, GRAND), prompts=[PROMPTS[0]] * 6, seen=seen)
    assert len(seen) == 2


def test_odd_texts_are_measured() -> None:
    odd = ["🜁 ∮ ñandú! " * 20, "\u202eevil \u202c word. " * 20, "猫が寝た。" * 20, "a\x00b. " * 20]
    _, found, _ = measured(lambda view, i: odd[(i + (not view.is_base)) % 4], prompts=PROMPTS[:4])
    assert found.is_finite


def test_a_prompt_beyond_the_context_is_the_backends_one_line() -> None:
    def write(view: View, i: int) -> str:
        raise RequestError("9000 tokens exceed the model's context of 512")

    with pytest.raises(RequestError, match="9000 tokens"):
        measured(write)


@pytest.mark.nightly  # it is timed
def test_ten_thousand_prompts() -> None:
    some = [[prose(manner, i, count=8) for i in range(50)] for manner in (BRIEF, GRAND)]
    prompts = [f"Prompt {i}." for i in range(10_000)]
    places = {prompt: i for i, prompt in enumerate(prompts)}

    def answer(request: Request[object]) -> object:
        assert isinstance(request, Generate)
        at = places[str(request.prompt)]
        return Generation(some[not request.view.is_base][at % 50], ())

    probe = StyleFingerprint(prompts=prompts, doc_reference=DOCUMENT, extended="off")
    began = time.process_time()
    found = Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED)).measured
    assert probe.judge(found, None).verdict is Verdict.PASS
    assert time.process_time() - began < 4  # a square of the prompts would take minutes


@pytest.mark.parametrize(
    "bad",
    [{"max_new_tokens": 0}, {"extended": "yes"}, {"assert_shift_gte": "nan"}, {"prompts": "one"}],
)
def test_bad_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionsError):
        StyleFingerprint(**bad)
