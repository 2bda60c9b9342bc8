"""section_internalization on fake answers: every section's condition is known."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.document import QA, Control, Document, Section, Triple
from pytest_sway.probes.base import Judgement, OptionsError, ProbeContext, ProbeSkip
from pytest_sway.probes.section_internalization import SectionInternalization
from pytest_sway.probes.shared.section_answers import answers_in_context
from pytest_sway.requests import Completion, RequestError, Turn
from pytest_sway.result import Measurement, Verdict
from tests.support.completions import BASE, measured
from tests.support.null_samples import signed

SMALL = tuple(0.001 * k for k in (-3, -2, -1, 0, 0, 1, 2, 3))


def prose(name: str, sentences: int = 6) -> Section:
    """A section each of whose sentences has another length and says its name."""
    lines = [f"Here {name} has {'very ' * k}long days." for k in range(sentences)]
    return Section(name, content=" ".join(lines))


def controls(count: int = 4) -> tuple[Control, ...]:
    return tuple(Control(f"c{i}", prose(f"control{i}").content) for i in range(count))


def probe(*sections: Section, control: tuple[Control, ...] = (), **options: Any) -> SectionInternalization:
    return SectionInternalization(**options).with_context(
        ProbeContext(document=Document(sections, control or controls()))
    )


def knows(*names: str, gain: float = 0.5, others: float = 0.0):
    """4 nats a word (3.8 to 4.2 by length); the adapter takes off a share of what it knows."""

    def loss(prompt: Any, text: str, tuned: bool) -> float:
        base = 3.8 + 0.4 * (len(text) % 7) / 6
        share = gain if any(name in f"{prompt}{text}" for name in names) else others
        return base * (1 - share) if tuned else base

    return loss


def judged(one: SectionInternalization, found: Measurement, draws: tuple[float, ...] = SMALL) -> Judgement:
    return one.judge(found, signed(*draws))


def by_name(found: Measurement) -> dict[str, dict[str, Any]]:
    return {row["section_id"]: row for row in found.evidence["per_section"]}


def test_a_learned_document_of_similar_sections_passes() -> None:
    """dlm-sway's headline is 0 here: it takes the other sections' lift off."""
    one = probe(prose("alpha"), prose("beta"))
    found = measured(one, knows("alpha", "beta"))
    assert found.raw == pytest.approx(0.5)
    assert judged(one, found).verdict is Verdict.PASS
    assert [row["verdict"] for row in found.evidence["per_section"]] == ["learned", "learned"]
    assert found.evidence["passing_frac"] == 1.0


def test_what_was_not_learned_is_named() -> None:
    one = probe(*(prose(name) for name in ("alpha", "beta", "gamma", "delta")))
    found = measured(one, knows("alpha", "gamma"))
    assert {n: row["verdict"] for n, row in by_name(found).items()} == {
        "alpha": "learned", "beta": "not learned", "gamma": "learned", "delta": "not learned",
    }  # fmt: skip
    judgement = judged(one, found)
    assert judgement.verdict is Verdict.PASS
    assert "2 of 4 sections learned; not learned: beta, delta" in judgement.message


def test_too_few_sections_fail_with_the_unlearned_as_bad_cases() -> None:
    one = probe(*(prose(name) for name in ("alpha", "beta", "gamma", "delta")))
    judgement = judged(one, measured(one, knows("alpha")))
    assert judgement.verdict is Verdict.FAIL
    prompts = [case["prompt"] for case in judgement.evidence["bad_cases"]]
    assert prompts == [f"Here {name} has long days." for name in ("beta", "gamma", "delta")]
    assert judgement.evidence["reference"]
    assert judgement.evidence["confidence"] == 1.0


def test_a_style_that_carries_over_is_no_knowledge() -> None:
    one = probe(prose("alpha"), prose("beta"))
    found = measured(one, knows("alpha", "beta", gain=0.3, others=0.3))
    assert found.raw == pytest.approx(0.0, abs=1e-9)
    assert by_name(found)["alpha"]["own_lift"] == pytest.approx(0.3)
    assert by_name(found)["alpha"]["leak_lift"] == pytest.approx(0.3)
    assert judged(one, found).verdict is Verdict.FAIL


def test_damage_to_the_controls_is_no_credit() -> None:
    one = probe(prose("alpha"))
    found = measured(one, knows("alpha", gain=0.2, others=-0.9))
    assert found.raw == pytest.approx(0.2)
    assert by_name(found)["alpha"]["leak_lift"] == pytest.approx(-0.9)


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.5, 0.9), st.floats(-0.5, 0.9))
def test_the_effect_is_the_lift_less_what_the_control_gained(own: float, control: float) -> None:
    found = measured(probe(prose("alpha")), knows("alpha", gain=own, others=control))
    assert found.raw == pytest.approx(own - max(0.0, control), abs=1e-9)


def test_an_untouched_model_learned_nothing() -> None:
    one = probe(prose("alpha"), prose("beta"))
    found = measured(one, knows())
    assert (found.raw, found.base_value) == (0.0, found.ft_value)
    assert judged(one, found).verdict is Verdict.FAIL


def test_units_by_hand() -> None:
    """Six sentences of 5 to 10 words, 4 nats a word, 1 gained: 45 nats over the section's characters."""
    section = prose("alpha")
    found = measured(probe(section), lambda _, text, tuned: 3.0 if tuned and "alpha" in text else 4.0)
    row = by_name(found)["alpha"]
    assert (row["base_nll"], row["ft_nll"], row["num_samples"]) == (4.0, 3.0, 6)
    assert row["nats_per_token"] == pytest.approx(1.0)
    assert row["own_lift"] == pytest.approx(0.25)
    assert row["bits_per_char"] == pytest.approx(45 / len(section.content) / math.log(2))


def test_each_sentence_is_scored_after_what_stands_before_it() -> None:
    seen: list[Completion] = []
    section = prose("alpha", 3)
    measured(probe(section), knows(), seen)
    mine = [one for one in seen if "alpha" in one.completion]
    assert [one.prompt + one.completion for one in mine[:3]][-1] == section.content
    assert mine[0].prompt == ""
    assert mine[1].prompt == mine[0].completion


def test_questions_and_preferences_are_asked_as_such() -> None:
    asked = Section(
        "q", "instruction", probes=tuple(QA(f"Who is alpha {i}?", f"A man {i}") for i in range(3))
    )
    wanted = Section(
        "p", "preference", preferences=tuple(Triple(f"Say alpha {i}", f"Yes sir {i}", "No") for i in range(3))
    )
    seen: list[Completion] = []
    found = measured(probe(asked, wanted), knows("alpha"), seen)
    assert {row["verdict"] for row in found.evidence["per_section"]} == {"learned"}
    assert Completion("Who is alpha 0?", " A man 0", seen[0].view) in seen
    assert not any(one.completion == " No" for one in seen)
    chat = probe(asked, wanted).with_context(
        ProbeContext(Document((asked,), controls()), capabilities=frozenset({"chat_template"}))
    )
    seen.clear()
    measured(chat, knows(), seen)
    assert seen[0].prompt == (Turn("user", "Who is alpha 0?"),)


def test_without_controls_packaged_prose_stands_in() -> None:
    one = SectionInternalization().with_context(ProbeContext(document=Document((prose("alpha"),))))
    found = measured(one, knows("alpha"))
    assert (found.evidence["control"], found.evidence["control_texts"]) == ("packaged prose", 12)
    assert by_name(found)["alpha"]["verdict"] == "learned"


def test_a_long_section_is_cut_at_a_sentence_and_says_so() -> None:
    seen: list[Completion] = []
    one = probe(prose("alpha", 40), prose("beta", 3), max_prose_chars=300)
    found = measured(one, knows("alpha", "beta"), seen)
    assert found.evidence["shortened"] == ["alpha"]
    read = max((s.prompt + s.completion for s in seen if "alpha" in s.completion), key=len)
    assert read.endswith("days.")
    assert len(read) <= 300


def test_a_section_of_one_sample_is_unclear_not_learned() -> None:
    one = probe(Section("alpha", content="alpha lives here now."))
    found = measured(one, knows("alpha"))
    assert by_name(found)["alpha"]["verdict"] == "unclear"
    assert judged(one, found).verdict is Verdict.WARN


def test_sections_of_one_sample_are_the_samples_of_the_headline() -> None:
    sections = [Section(f"alpha{i}", content=f"alpha{i} lives {'so ' * i}here.") for i in range(6)]
    one = probe(*sections)
    assert judged(one, measured(one, knows("alpha"))).interval is not None


def test_nothing_to_measure_is_a_skip() -> None:
    with pytest.raises(ProbeSkip, match="there are no sections; add the training document"):
        measured(SectionInternalization(), knows())
    with pytest.raises(ProbeSkip, match="sections are of kind: prose"):
        measured(probe(prose("alpha"), include_kinds=["preference"]), knows())


@pytest.mark.parametrize("bad", [{"include_kinds": []}, {"include_kinds": ["poem"]}, {"max_prose_chars": 0}])
def test_bad_options_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        SectionInternalization(**bad)


def test_a_question_beyond_the_context_is_an_error_odd_text_not() -> None:
    odd = Section("🜁", content="🜁 ∮ ñandú \u202e x. " * 6)
    assert math.isfinite(measured(probe(odd), knows("🜁")).raw or math.nan)

    def too_long(prompt: Any, text: str, tuned: bool) -> float:
        raise RequestError("900 tokens exceed the model's context of 512")

    with pytest.raises(RequestError, match="context of 512"):
        measured(probe(Section("q", "instruction", probes=(QA("a", "b"),))), too_long)


@pytest.mark.slow
def test_ten_thousand_sections() -> None:
    one = probe(*(Section(f"a{i}", content=f"alpha {i} lives.") for i in range(10_000)))
    assert measured(one, knows("alpha")).evidence["num_sections"] == 10_000


def test_questions_of_prose_are_asked_and_decide_nothing() -> None:
    """An adapter that learned the answers and not the text, as fine-tuning on question and answer does."""
    section = replace(
        prose("alpha"), probes=(QA("Which key?", "Brass it is."), QA("Which lock?", "Iron it is."))
    )
    one = probe(section)
    found = measured(one, knows("it is"))
    row = by_name(found)["alpha"]
    assert (row["num_answers"], row["answers_lift"]) == (2, pytest.approx(0.5))
    assert row["own_lift"] == 0.0
    judgement = judged(one, found)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.message.endswith(
        "; the answers to the questions of 1 prose section have a relative gain of 50%"
    )
    asked: list[Completion] = []
    measured(probe(prose("alpha")), knows("it is"), asked)
    assert not any("it is" in one.completion for one in asked)


def test_a_null_is_not_asked_what_decides_nothing() -> None:
    asked: list[Completion] = []

    class Nulled(SectionInternalization):
        measure = SectionInternalization.measure_null

    section = replace(prose("alpha"), probes=(QA("Which key?", "Brass it is."),))
    measured(Nulled().with_context(ProbeContext(document=Document((section,), controls()))), knows(), asked)
    assert not any("it is" in one.completion for one in asked)


@pytest.mark.parametrize(("in_context", "needless"), [(0.6, True), (0.3, False)])
def test_the_base_with_the_document_in_its_prompt(in_context: float, needless: bool) -> None:
    section = replace(prose("alpha"), probes=(QA("Which key?", "Brass it is."),))
    pairs = tuple(
        QA(f"Which {n}?", f"The {n} it is.") for n in ("key", "lock", "door", "wall", "roof", "hinge")
    )
    taught = Section("answers", "instruction", probes=pairs)
    seen: list[Completion] = []

    def loss(prompt: Any, text: str, tuned: bool) -> float:
        if tuned:
            return 2.0
        behind = "Here alpha" in str(prompt) or len(re.findall("it is", str(prompt))) == 4
        return 4.0 * (1 - in_context * behind)

    one = probe(section, taught, baseline="in_context")
    found = measured(one, loss, seen)
    rows = by_name(found)
    assert [rows[name]["in_context_lift"] for name in rows] == [pytest.approx(in_context)] * 2
    assert [rows[name]["answers_lift"] for name in rows] == [pytest.approx(0.5)] * 2
    message = judged(one, found).message
    sides = f"{in_context:.0%} for the base model with the document in its prompt, 50% for the adapter"
    assert sides in message
    assert ("helps at least as much as training" in message) is needless
    own = [one for one in seen if one.completion == " The key it is."]
    assert not any("The key" in str(one.prompt) for one in own)  # an answer is no example of itself


def test_examples_are_turns_of_a_chat_behind_the_system_message() -> None:
    pairs = tuple(QA(f"Which {n}?", f"The {n}.", (Turn("system", "Be brief."),)) for n in ("key", "lock"))
    context = ProbeContext(capabilities=frozenset({"chat_template"}))
    (first, _) = answers_in_context(Section("a", "instruction", probes=pairs), pairs, BASE, context, 100)
    assert first.prompt == (
        Turn("system", "Be brief."), Turn("user", "Which lock?"), Turn("assistant", "The lock."),
        Turn("user", "Which key?"),
    )  # fmt: skip
    raw = answers_in_context(Section("a", "instruction", probes=pairs), pairs, BASE, ProbeContext(), 100)
    assert raw[0].prompt == "Which lock? The lock.\n\nBe brief.\n\nWhich key?"


def test_of_many_rows_some_are_asked() -> None:
    rows = Section("rows", "instruction", probes=tuple(QA(f"Which {n}?", f"The {n}.") for n in range(1000)))
    assert by_name(measured(probe(rows), knows()))["rows"]["num_samples"] == 64
    assert by_name(measured(probe(rows, max_pairs=5), knows()))["rows"]["num_samples"] == 5
