"""section_internalization: which sections of the document did the adapter learn?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from pytest_sway.document import Section, SectionKind
from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeContext, ProbeOptions, ProbeSkip
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect, lower_verdict, score_every_item
from pytest_sway.probes.judging.thresholds import Floor, LeastZ, Share
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.log_probability_gain import ScoredAnswer, score_answers, score_texts, shortfall
from pytest_sway.probes.shared.questions import policy_name
from pytest_sway.probes.shared.section_answers import (
    answers,
    answers_in_context,
    answers_row,
    answers_text,
    in_context_row,
    taught_pairs,
)
from pytest_sway.probes.shared.section_controls import control_gain, controls_of, relative_gain
from pytest_sway.probes.shared.segments import pieces_within, prose_segments
from pytest_sway.probes.shared.taught_examples import taught_example
from pytest_sway.requests import Completion, Views, ask
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.estimates import Estimate, interval_of_sum
from pytest_sway.statistics.intervals import Interval, t_interval

LEARNED, NOT_LEARNED, UNCLEAR = _VERDICTS = "learned", "not learned", "unclear"
_NAMED = 5
"""So many sections are named in a message; all of them are in the evidence."""


class SectionInternalizationOptions(ProbeOptions):
    """Options of ``section_internalization``; ``per_section_threshold`` is relative.

    Attributes:
        max_pairs: most questions, or preferences, of a section that are asked, spread evenly over it.
        baseline: ``in_context`` measures the base with the document in its prompt beside the adapter.
    """

    profiles: ClassVar = {
        "quick": {"max_prose_chars": 300, "max_pairs": 8},
        "thorough": {"max_pairs": 256},
    }

    include_kinds: list[SectionKind] = Field(default=["prose", "instruction", "preference"], min_length=1)
    per_section_threshold: Floor = 0.05
    assert_passing_section_frac: Share = 0.5
    max_prose_chars: int = Field(default=2000, ge=1)
    max_pairs: int = Field(default=64, ge=1)
    baseline: Literal["none", "in_context"] = "none"
    assert_z_gte: LeastZ = 3.0


@dataclass(frozen=True)
class _Effect:
    """A section's lift and its control's.

    Attributes:
        own: relative gain on the section.
        control: relative gain on its control.
    """

    own: Estimate
    control: Estimate

    @property
    def control_term(self) -> Estimate:
        """What the control takes off, as a term of a sum: damage to the control is no credit."""
        gained = self.control.value > 0
        return replace(self.control, value=-self.control.value) if gained else Estimate(0.0, 0.0, 1)

    @property
    def value(self) -> float:
        """The effective lift."""
        return self.own.value + self.control_term.value

    @property
    def interval(self) -> Interval | None:
        """Of the effective lift, over samples of the section and of the control."""
        return interval_of_sum([self.own, self.control_term])


class SectionInternalization(Probe[SectionInternalizationOptions]):
    """How much of what each section says has the adapter taken in, beyond what it took in of anything?

    Per section, own lift = (NLL_base - NLL_tuned) / NLL_base and effective lift = own lift - max(0, the
    same number on its control), both relative, so that models and tokenizers compare. raw = mean
    effective lift over sections.

    Samples are sentences after the section's text before them (blocks of about 16 words where there are
    fewer than 3), question-answer pairs, or prompts with their chosen answer; each weighs as much as the
    base's NLL of it (the ratio estimator, Cochran 1977). The control is the document's ``controls``, else
    packaged prose by other authors, of each text its first sentences that fit the section's length in
    characters (of answers: that of all of them together); its samples are the texts. *learned*: effective
    lift ≥ ``per_section_threshold`` and its interval above 0; *not learned*: the interval below the
    threshold, or below 0 where that is higher; else *unclear*. A section's interval combines its own error
    with its control's (:func:`~pytest_sway.statistics.estimates.interval_of_sum`; a control that gained
    nothing has no error). The interval of raw combines the sections' own errors, since the sections are the
    document and no sample of documents, and as one further term the sum of the controls', since those are
    the same texts (where a section has a single sample, t over the sections).

    Passes when the effect rule does and the share of learned sections is at least
    ``assert_passing_section_frac``; fails when the effect rule does or the share of learned and unclear
    ones together is below it; else warns. Questions of a prose section (``probes:``) are asked as well: the
    relative gain on their answers stands beside the section's, and decides nothing. With
    ``baseline: in_context`` so does the gain of the base that has the section in its prompt (its text, an
    empty line, the question), or four other questions and answers of it (as turns before the question, under
    ``raw`` as paragraphs): where that is as large, training was not needed.
    """

    kind, category, claim = "section_internalization", "attribution", Claim.EFFECT
    requires = frozenset({"completion"})
    scale = "raw"

    async def measure(self, views: Views) -> Measurement:
        """Two NLLs per sample of the sections and of the controls, and of the answers beside prose."""
        measured = await self.measure_null(views)
        answered = await self._answers(views)
        rows = [{**row, **answered.get(row["section_id"], {})} for row in measured.evidence["per_section"]]
        return replace(measured, evidence={**measured.evidence, "per_section": rows})

    async def measure_null(self, views: Views) -> Measurement:
        """What is judged: the sections in the form in which they were taught, and their controls."""
        sections = _chosen_sections(self.context, self.options)
        most = self.options.max_prose_chars
        texts = {s.id: _shortened_pieces(s.content, most) for s in sections if s.kind == "prose"}
        pairs = {
            s.id: answers(taught_pairs(s, self.options.max_pairs), views.base, self.context)
            for s in sections
            if s.kind != "prose"
        }
        lengths = {s.id: _length(s, texts, pairs) for s in sections}
        controls = controls_of(self.context.document, max(lengths.values()))
        scores = dict(zip(pairs, await score_answers(list(pairs.values()), views), strict=True))
        prose = await score_texts([*texts.values(), *controls.pieces], views)
        scores.update(zip(texts, prose, strict=False))
        effects = {
            key: _Effect(
                relative_gain([[one] for one in found]),
                control_gain(controls, prose[len(texts) :], lengths[key]),
            )
            for key, found in scores.items()
        }
        rows = [_row(s, effects[s.id], scores[s.id], lengths[s.id], self.options) for s in sections]
        interval = _mean_interval(list(effects.values()))
        return Measurement(
            raw=fmean(effect.value for effect in effects.values()),
            samples=tuple(effects[section.id].value for section in sections),
            items=tuple(section.id for section in sections),
            base_value=_nll(scores.values(), "base"),
            ft_value=_nll(scores.values(), "tuned"),
            evidence={
                "per_section": rows,
                "num_sections": len(sections),
                "passing_frac": fmean(row["passed"] for row in rows),
                "per_section_threshold": self.options.per_section_threshold,
                "control": controls.source,
                "control_texts": len(controls.pieces),
                "shortened": [
                    s.id for s in sections if s.id in texts and lengths[s.id] < len(s.content.strip())
                ],
                "prompts": policy_name(self.context) if pairs else "raw",
            },
            series={"interval": [(interval.low, interval.high)] if interval is not None else []},
        )

    async def _answers(self, views: Views) -> dict[str, dict[str, Any]]:
        """By section, what its row says of the answers to its questions, and of the base in context."""
        options, context = self.options, self.context
        asked = {s: taught_pairs(s, options.max_pairs) for s in _chosen_sections(context, options)}
        asked = {s: pairs for s, pairs in asked.items() if pairs and s.kind != "preference"}
        plain = [answers(pairs, views.base, context) for pairs in asked.values()]
        gains = await score_answers(plain, views)
        rows = {s.id: answers_row(found) for s, found in zip(asked, gains, strict=True)}
        if options.baseline == "in_context":
            most = options.max_prose_chars
            behind = [answers_in_context(s, pairs, views.base, context, most) for s, pairs in asked.items()]
            scores = iter(await ask([one for group in behind for one in group]))
            for row, found in zip(rows.values(), gains, strict=True):
                row |= in_context_row(found, [next(scores).logprob for _ in found])
        return rows

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The effect rule on the mean over sections, and the share of sections that were learned."""
        found = judge_effect(
            measured,
            next((Interval(low, high) for low, high in measured.series["interval"]), None),
            nulls,
            EffectCriteria(self.options.per_section_threshold, self.options.assert_z_gte, "relative gain"),
            subtract_null=False,
        )
        found = score_every_item(found, measured.samples, self.options.per_section_threshold)
        rows = measured.evidence["per_section"]
        named = {v: [row["section_id"] for row in rows if row["verdict"] == v] for v in _VERDICTS}
        wanted = self.options.assert_passing_section_frac * len(rows) - 1e-9
        most = len(named[LEARNED]) + len(named[UNCLEAR])
        if len(named[LEARNED]) >= wanted:
            verdict = Verdict.PASS
        else:
            verdict = Verdict.WARN if most >= wanted else Verdict.FAIL
        judgement = lower_verdict(found, verdict, _sections_text(named, len(rows)))
        judgement = replace(judgement, message=judgement.message + answers_text(rows))
        if judgement.verdict is not Verdict.FAIL:
            return judgement
        sections = {section.id: section for section in self.context.document.sections}
        floor = self.options.per_section_threshold
        missing = [row for row in rows if row["verdict"] != LEARNED]
        examples = [taught_example(sections[row["section_id"]]) for row in missing]
        gaps = [shortfall(row["effective_sis"], floor) for row in missing]
        cases = [BadCase(*example, gap) for example, gap in zip(examples, gaps, strict=True)]
        return replace(judgement, evidence=bad_cases(cases))


def _chosen_sections(context: ProbeContext, options: SectionInternalizationOptions) -> list[Section]:
    """The sections of the kinds that are measured; ProbeSkip without one."""
    sections = context.document.sections
    if not sections:
        raise ProbeSkip(
            "there are no sections; add the training document of the adapter under sections in the spec"
        )
    chosen = [section for section in sections if section.kind in options.include_kinds]
    if not chosen:
        there = ", ".join(sorted({section.kind for section in sections}))
        raise ProbeSkip(
            "no section of the document is of a kind that include_kinds lists; the document's sections are "
            f"of kind: {there}"
        )
    return chosen


def _shortened_pieces(content: str, most: int) -> list[str]:
    """A section's samples within ``most`` characters; a first sentence that is longer is cut."""
    pieces = pieces_within(prose_segments(content), most)
    return pieces if len(pieces[0]) <= most else prose_segments(content.strip()[:most])


def _length(section: Section, texts: dict[str, list[str]], pairs: dict[str, list[Completion]]) -> int:
    """Characters of a section that are scored."""
    if section.id in texts:
        return sum(map(len, texts[section.id]))
    return sum(len(asked.completion) for asked in pairs[section.id])


def _mean_interval(effects: Sequence[_Effect]) -> Interval | None:
    """Of the mean effective lift: the sections' errors are independent, the control's are one error."""
    share = 1 / len(effects)
    own = [_scaled_estimate(effect.own, share) for effect in effects]
    off = [effect.control_term for effect in effects]
    if all(part.error is not None for part in (*own, *off)):
        error = share * sum(part.error or 0.0 for part in off)
        common = Estimate(share * sum(part.value for part in off), error, min(part.df for part in off))
        return interval_of_sum([*own, common])
    return t_interval([effect.value for effect in effects])


def _scaled_estimate(part: Estimate, by: float) -> Estimate:
    return Estimate(part.value * by, part.error * by if part.error is not None else None, part.df)


def _nll(scores: Iterable[Sequence[ScoredAnswer]], view: Literal["base", "tuned"]) -> float:
    """Nats per token over all sections."""
    everything = [one for found in scores for one in found]
    return -float(sum(getattr(one, view) for one in everything)) / sum(one.tokens for one in everything)


def _row(
    section: Section,
    effect: _Effect,
    scores: Sequence[ScoredAnswer],
    length: int,
    options: SectionInternalizationOptions,
) -> dict[str, Any]:
    """A section's evidence; the keys of schema 1 first. ``leak_lift`` is its control's relative gain."""
    tokens, gain = sum(one.tokens for one in scores), sum(one.log_probability_gain for one in scores)
    interval = effect.interval
    verdict = _verdict(effect.value, interval, options.per_section_threshold)
    return {
        "section_id": section.id,
        "kind": section.kind,
        "tag": section.tags[0] if section.tags else "",
        "base_nll": -sum(one.base for one in scores) / tokens,
        "ft_nll": -sum(one.tuned for one in scores) / tokens,
        "own_lift": effect.own.value,
        "leak_lift": effect.control.value,
        "effective_sis": effect.value,
        "passed": verdict == LEARNED,
        "verdict": verdict,
        "ci_95": [interval.low, interval.high] if interval is not None else None,
        "nats_per_token": gain / tokens,
        "bits_per_char": gain / length / math.log(2),
        "num_samples": len(scores),
    }


def _verdict(effect: float, interval: Interval | None, threshold: float) -> str:
    if interval is None:
        return UNCLEAR
    if effect >= threshold and interval.low > 0:
        return LEARNED
    return NOT_LEARNED if interval.high < max(0.0, threshold) else UNCLEAR


def _sections_text(named: dict[str, list[str]], total: int) -> str:
    """How many were learned, and the names of those that were not."""
    parts = [f"{len(named[LEARNED])} of {total} sections learned"]
    for verdict in (NOT_LEARNED, UNCLEAR):
        names = named[verdict]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        if names:
            parts.append(f"{verdict}: {', '.join(names[:_NAMED])}{more}")
    return "; ".join(parts)
