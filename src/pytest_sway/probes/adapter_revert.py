"""adapter_revert: asked in other words, does the adapter answer nearer to the gold than the base did?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeSkip
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect, lower_verdict
from pytest_sway.probes.judging.thresholds import Finite, Floor, LeastZ, Rate, is_off
from pytest_sway.probes.shared import style_features
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.item_options import CaseOptions
from pytest_sway.probes.shared.question_case import QuestionCase
from pytest_sway.probes.shared.questions import as_prompt, distinct, policy_name
from pytest_sway.requests import DEFAULT_EMBEDDER, Embed, Generate, Prompt, Views, ask
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.spec.environment_variables import Expanded
from pytest_sway.statistics.intervals import Interval, rate_interval, t_interval

_NO_NEARER = 0.02
"""A gain in cosine within this is none: the answers differ by a word that changes nothing."""
_TOKENS_A_WORD = 2
"""Tokens that a word takes at most, as a rule: English takes 1.3 on average."""
_LEAST_CASES = 8
"""Fewer cases than this give no rate that could decide."""
_MOST_CASES = 8


class AdapterRevertOptions(CaseOptions[QuestionCase]):
    """Options of ``adapter_revert``; ``assert_gain_gte`` is pytest-sway's own."""

    quick_items: ClassVar = 0

    max_new_tokens: int = Field(default=64, ge=1)
    embedding_model: Expanded = Field(default=DEFAULT_EMBEDDER, min_length=1)
    base_gold_similarity_cap: Finite = Field(default=0.75, ge=-1)
    assert_gain_gte: Floor = Field(default=0.1, le=2)
    assert_revert_rate_lt: Rate = 0.25
    assert_z_gte: LeastZ = 3.0


class _Pair(NamedTuple):
    """One paraphrase, and how near both answers are to the gold and to each other (cosines)."""

    case: int
    asked: str
    gold: str
    answer: str
    tuned_gold: float
    base_gold: float
    tuned_base: float

    @property
    def cosine_gain(self) -> float:
        gain = self.tuned_gold - self.base_gold
        return gain if self.answer else min(0.0, gain)

    @property
    def is_reverted(self) -> bool:
        return self.cosine_gain <= _NO_NEARER


class AdapterRevert(Probe[AdapterRevertOptions]):
    """How much nearer to the gold the adapter's answer to a paraphrase is than the base's own.

    s = cos(adapter's answer, gold) - cos(base's answer, gold), sentence vectors of ``embedding_model``; both
    answers are cut to the gold's number of words (what white space parts), since two long texts are alike for
    their length. A case's sample is the mean of s over its paraphrases; the effect is the mean over cases, in
    cosine. A pair whose base answer is as near as ``base_gold_similarity_cap`` already is dropped. An empty
    answer has cosine 0 with everything, and gains nothing where the base's was below that.

    raw = the revert rate of schema 1, the share of pairs with s ≤ 0.02; its interval is that of a rate over
    as many items as there are cases, rounded to whole ones. z and null belong to the effect: null adapters
    write for themselves. From 8 cases on ``assert_revert_rate_lt`` is a further condition: a rate beyond it
    fails where its interval lies beyond it, else warns.
    """

    kind, category, claim = "adapter_revert", "adherence", Claim.EFFECT
    requires = frozenset({"generate"})
    extra = "semsim"
    scale = "raw"

    async def measure(self, views: Views) -> Measurement:
        """Two answers per paraphrase, and their vectors."""
        cases = list(dict.fromkeys(self.options.cases))
        asked = [
            (i, paraphrase, case.gold) for i, case in enumerate(cases) for paraphrase in case.paraphrases
        ]
        prompts = [as_prompt(text, self.context, cases[i].turns_before) for i, text, _ in asked]
        golds = [gold for _, _, gold in asked]
        base, tuned = await _answers_cut_to_gold(prompts, golds, views, self.options.max_new_tokens)
        near = await _cosines([*golds, *base, *tuned], self.options.embedding_model, len(asked))
        pairs = [
            _Pair(*which, answer, *cosines) for which, answer, cosines in zip(asked, tuned, near, strict=True)
        ]
        kept = [pair for pair in pairs if pair.base_gold <= self.options.base_gold_similarity_cap]
        if not kept:
            raise ProbeSkip(
                f"the base model already answers all {len(pairs)} paraphrases correctly (cosine above "
                f"{self.options.base_gold_similarity_cap:g}); give cases that the base model does not know"
            )
        return self._measurement(kept, len(pairs) - len(kept))

    def _measurement(self, kept: Sequence[_Pair], dropped: int) -> Measurement:
        by_case: dict[int, list[float]] = {}
        for pair in kept:
            by_case.setdefault(pair.case, []).append(pair.cosine_gain)
        golds = {pair.case: pair.gold for pair in kept}
        gains = [fmean(values) for values in by_case.values()]
        reverts = sum(pair.is_reverted for pair in kept)
        return Measurement(
            raw=reverts / len(kept),
            samples=tuple(gains),
            items=tuple(golds.values()),
            statistics={"gain": fmean(gains)},
            base_value=fmean(pair.base_gold for pair in kept),
            ft_value=fmean(pair.tuned_gold for pair in kept),
            evidence={
                "revert_rate": reverts / len(kept),
                "reverts": reverts,
                "total": len(kept),
                "dropped_trivial": dropped,
                "per_case": [_pair_evidence(pair) for pair in kept[:_MOST_CASES]],
                "gain": fmean(gains),
                "num_cases": len(gains),
                "empty_answers": sum(not pair.answer for pair in kept),
                "prompt_policy": policy_name(self.context),
                "null_statistic": "gain",
                "reverted": [_pair_evidence(pair) for pair in kept if pair.is_reverted],
            },
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The effect rule on the gain, and the condition of schema 1 on the rate."""
        gain = t_interval(measured.samples)
        criteria = EffectCriteria(
            self.options.assert_gain_gte,
            self.options.assert_z_gte,
            "gain in cosine similarity to the right answer",
        )
        judged = judge_effect(measured, gain, nulls, criteria, subtract_null=False, statistic="gain")
        judged = _apply_rate_limit(judged, measured, self.options)
        if empty := measured.evidence["empty_answers"]:
            message = f"{empty} of {measured.evidence['total']} answers are empty"
            judged = lower_verdict(judged, judged.verdict, message)
        bad = _bad_cases(measured) if judged.verdict is Verdict.FAIL else {}
        ends = [gain.low, gain.high] if gain is not None else None
        return replace(judged, interval=_revert_rate_interval(measured), evidence={"gain_ci_95": ends, **bad})


async def _answers_cut_to_gold(
    prompts: Sequence[Prompt], golds: Sequence[str], views: Views, max_new_tokens: int
) -> tuple[list[str], list[str]]:
    """What base and adapter answer, each answer no longer than its gold in words.

    What lies beyond is not read, so the answers are written to :data:`_TOKENS_A_WORD` first, and in full only
    where that does not reach the gold's length.
    """
    lengths = [max(1, len(style_features.split_words(gold))) for gold in golds] * 2
    few = min(max_new_tokens, _TOKENS_A_WORD * (max(lengths) + 1))
    wanted = [
        Generate(prompt, view, max_new_tokens) for view in (views.base, views.tuned) for prompt in prompts
    ]
    written = await ask([replace(request, max_new_tokens=few) for request in wanted])
    unfinished = [
        k
        for k, (answer, length) in enumerate(zip(written, lengths, strict=True))
        if len(answer.ids) == few < max_new_tokens and len(style_features.split_words(answer.text)) <= length
    ]
    for k, answer in zip(unfinished, await ask([wanted[k] for k in unfinished]), strict=True):
        written[k] = answer
    cut = [_first_words(answer.text, n) for answer, n in zip(written, lengths, strict=True)]
    return cut[: len(golds)], cut[len(golds) :]


def _first_words(text: str, count: int) -> str:
    return next(iter(style_features.pieces(text, count)), text).strip()


async def _cosines(texts: Sequence[str], model: str, count: int) -> list[tuple[float, float, float]]:
    """Per pair cos(tuned, gold), cos(base, gold), cos(tuned, base); 0 with an empty text.

    ``texts``: ``count`` golds, as many answers of the base, as many of the adapter.
    """
    asked = distinct([text for text in texts if text])
    vectors = dict(
        zip(asked, map(np.asarray, await ask([Embed(text, model) for text in asked])), strict=True)
    )

    def cosine(one: str, other: str) -> float:
        return float(vectors[one] @ vectors[other]) if one and other else 0.0

    triples = zip(texts[:count], texts[count : 2 * count], texts[2 * count :], strict=True)
    return [(cosine(tuned, gold), cosine(base, gold), cosine(tuned, base)) for gold, base, tuned in triples]


def _pair_evidence(pair: _Pair) -> dict[str, Any]:
    """A pair's evidence: the keys of schema 1, and pytest-sway's own."""
    return {
        "prompt": pair.asked,
        "cos_ft_base": pair.tuned_base,
        "cos_ft_gold": pair.tuned_gold,
        "reverted": pair.is_reverted,
        "cos_base_gold": pair.base_gold,
        "gold": pair.gold,
        "answer": pair.answer,
    }


def _revert_rate_interval(measured: Measurement) -> Interval | None:
    """The revert rate's: paraphrases of one case are no independent items, so each case counts once."""
    cases = len(measured.samples)
    return rate_interval(round((measured.raw or 0.0) * cases), cases)


def _apply_rate_limit(judged: Judgement, measured: Measurement, options: AdapterRevertOptions) -> Judgement:
    rate, limit = measured.raw or 0.0, options.assert_revert_rate_lt
    interval = _revert_rate_interval(measured)
    within = rate < limit or not rate or is_off(options, "assert_revert_rate_lt")
    if within or interval is None or len(measured.samples) < _LEAST_CASES:
        return judged
    reverts, total = measured.evidence["reverts"], measured.evidence["total"]
    message = f"{reverts} of {total} answers are no closer to the right answer than the base model's answers"
    if interval.low >= limit:
        bounds = f"with 95 % confidence at least {interval.low:.0%}; the limit is {limit:.0%}"
        return lower_verdict(judged, Verdict.FAIL, f"{message} ({bounds})")
    return lower_verdict(judged, Verdict.WARN, f"{message} (the limit is {limit:.0%}; add cases to decide)")


def _bad_cases(measured: Measurement) -> dict[str, Any]:
    """The reverted pairs; the farther from its gold, the surer."""
    return bad_cases(
        [
            BadCase(pair["prompt"], pair["gold"], min(1.0, max(0.0, 1 - pair["cos_ft_gold"])))
            for pair in measured.evidence["reverted"]
        ]
    )
