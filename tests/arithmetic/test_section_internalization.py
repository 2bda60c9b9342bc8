"""section_internalization: each section's relative gain beyond its control's."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import stats

from tests.arithmetic.formulas import equals
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import CONTROLS, SECTIONS, TRIPLES

pytestmark = pytest.mark.nightly

Scores = list[tuple[float, float, int]]
"""Negative log-likelihood under base and adapter, and tokens, of each sample."""


class Gain(NamedTuple):
    """A relative gain with its standard error and degrees of freedom."""

    value: float
    error: float
    df: int


def relative_gain(scores: Scores) -> Gain:
    """Σ (base - tuned) / Σ base, the ratio estimator."""
    base, tuned, _ = np.array(scores).T
    ratio, n = (base - tuned).sum() / base.sum(), len(base)
    residuals = base - tuned - ratio * base
    error = np.sqrt(n / (n - 1) * (residuals**2).sum()) / base.sum()
    return Gain(float(ratio), float(error), n - 1)


def sentences(text: str) -> list[str]:
    """Sentences; the white space between two belongs to the second."""
    return re.split(r"(?<=[.!?\"])(?=\s+[A-Z])", text.strip())


def of_prose(plain: PlainModel, text: str) -> Scores:
    """Each sentence after the text before it; a token belongs to the sentence that it ends in."""
    text = text.strip()
    sides = [plain.text(view, text) for view in (BASE, TUNED)]
    token_ends = plain.ends(text)
    found, begin = [], 0
    for sentence in sentences(text):
        end = begin + len(sentence)
        here = (begin < token_ends) & (token_ends <= end)
        base, tuned = (-side[here].sum().item() for side in sides)
        found.append((base, tuned, int(here.sum())))
        begin = end
    return found


def of_answers(plain: PlainModel, pairs: list[tuple[str, str]]) -> Scores:
    """Each answer after its question."""
    sides = [[plain.answer(view, *pair) for pair in pairs] for view in (BASE, TUNED)]
    return [(-base.sum().item(), -tuned.sum().item(), len(base)) for base, tuned in zip(*sides, strict=True)]


PAIRS = {
    section["id"]: [(pair["prompt"], pair["gold"]) for pair in section["probes"]]
    for section in SECTIONS
    if "probes" in section
}
PAIRS["preferred"] = [(triple["prompt"], triple["chosen"]) for triple in TRIPLES[:4]]


@pytest.fixture(scope="module")
def scores(plain: PlainModel) -> dict[str, Scores]:
    """The samples of every section."""
    return {
        section["id"]: of_prose(plain, section["content"])
        if section["content"]
        else of_answers(plain, PAIRS[section["id"]])
        for section in SECTIONS
    }


@pytest.fixture(scope="module")
def controls(plain: PlainModel) -> dict[str, Gain]:
    """Every section's control: the controls' first sentences, as many as fit the section's length.

    Of answers that is the length of all of them.
    """
    read = [(sentences(control["content"]), of_prose(plain, control["content"])) for control in CONTROLS]
    found = {}
    for section in SECTIONS:
        answers = sum(len(gold) for _, gold in PAIRS.get(section["id"], []))
        length = len(section["content"].strip()) or answers
        clusters: Scores = []
        for texts, sides in read:
            fit = max(1, int((np.cumsum([len(text) for text in texts]) <= length).sum()))
            base, tuned, tokens = (sum(column) for column in zip(*sides[:fit], strict=True))
            clusters.append((base, tuned, int(tokens)))
        found[section["id"]] = relative_gain(clusters)
    return found


def test_lifts(reported: dict[str, Any], scores: dict[str, Scores], controls: dict[str, Gain]) -> None:
    found = reported["section_internalization"]
    effective = []
    for row in found["evidence"]["per_section"]:
        name = row["section_id"]
        own, off = relative_gain(scores[name]), max(0.0, controls[name].value)
        effective.append(own.value - off)
        base, tuned, tokens = np.sum(scores[name], axis=0)
        assert [row["base_nll"], row["ft_nll"]] == equals([base / tokens, tuned / tokens])
        assert row["own_lift"] == equals(own.value)
        assert row["leak_lift"] == equals(controls[name].value)
        assert row["num_samples"] == len(scores[name])
    assert [one["value"] for one in found["samples"]] == equals(effective)
    assert found["raw"] == equals(np.mean(effective))
    base, tuned, tokens = np.sum([sample for of in scores.values() for sample in of], axis=0)
    assert [found["base_value"], found["ft_value"]] == equals([base / tokens, tuned / tokens])


def t_sum(value: float, parts: list[tuple[float, int]]) -> list[float]:
    """Student's t interval of a sum of independent estimates, with Satterthwaite's degrees of freedom."""
    variance = sum(error**2 for error, _ in parts)
    df = variance**2 / sum(error**4 / df for error, df in parts)
    reach = stats.t.ppf(0.975, int(df)) * np.sqrt(variance)
    return [value - reach, value + reach]


def test_interval_of_a_section(
    reported: dict[str, Any], scores: dict[str, Scores], controls: dict[str, Gain]
) -> None:
    """Of the own lift less the control's, each with its own error."""
    for row in reported["section_internalization"]["evidence"]["per_section"]:
        own, control = relative_gain(scores[row["section_id"]]), controls[row["section_id"]]
        assert control.value > 0
        parts = [(own.error, own.df), (control.error, control.df)]
        assert row["ci_95"] == equals(t_sum(own.value - control.value, parts))


def test_interval(reported: dict[str, Any], scores: dict[str, Scores], controls: dict[str, Gain]) -> None:
    """The sections' errors are independent; the controls are one text, so their errors add up."""
    own, off = [relative_gain(one) for one in scores.values()], list(controls.values())
    n = len(own)
    parts = [(one.error / n, one.df) for one in own]
    parts.append((sum(one.error for one in off) / n, min(one.df for one in off)))
    mean = np.mean([one.value for one in own]) - np.mean([one.value for one in off])
    assert reported["section_internalization"]["ci_95"] == equals(t_sum(float(mean), parts))


def test_answers_beside_the_sections(reported: dict[str, Any], plain: PlainModel) -> None:
    """The adapter's relative gain on a section's answers, and the base's with the section before them."""
    rows = {row["section_id"]: row for row in reported["section_internalization"]["evidence"]["per_section"]}
    text, pairs = SECTIONS[0]["content"].strip(), PAIRS["asked"]
    alone = of_answers(plain, pairs)
    assert rows["asked"]["answers_lift"] == equals(relative_gain(alone).value)
    behind = of_answers(plain, [(f"{text}\n\n{question}", gold) for question, gold in pairs])
    before, with_text = np.sum(alone, axis=0)[0], np.sum(behind, axis=0)[0]
    assert rows["asked"]["in_context_lift"] == equals((before - with_text) / before)


def test_answers_after_the_others(reported: dict[str, Any], plain: PlainModel) -> None:
    """Of questions and answers the other pairs are turns before the question."""
    row = next(
        row
        for row in reported["section_internalization"]["evidence"]["per_section"]
        if row["section_id"] == "answers"
    )
    pairs = PAIRS["answers"]
    before = sum(base for base, *_ in of_answers(plain, pairs))
    behind = 0.0
    for question, gold in pairs:
        others = [text for pair in pairs if pair != (question, gold) for text in pair]
        behind -= plain.answer(BASE, question, gold, *others).sum().item()
    assert row["in_context_lift"] == equals((before - behind) / before)
