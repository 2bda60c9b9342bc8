"""paraphrase_invariance: does the adapter know the answer, or only the wording of the question?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pytest_sway.probes.base import Judgement, NullSample, Probe
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect, lower_verdict
from pytest_sway.probes.judging.thresholds import Floor, LeastZ, Off, is_off
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.item_options import CaseOptions
from pytest_sway.probes.shared.log_probability_gain import ScoredAnswer, score_answers, shortfall
from pytest_sway.probes.shared.question_case import QuestionCase
from pytest_sway.probes.shared.questions import answer_completion, distinct, policy_name
from pytest_sway.requests import Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.intervals import t_interval
from pytest_sway.statistics.ratio_intervals import contrast_interval, fieller_interval

MOST_OTHERS = 4
FEWEST_CASES = 5
"""Fewer cases say nothing of the ratio that could pass."""
_RATIO = {
    "generalize": "min_generalization_ratio",
    "both": "min_generalization_ratio",
    "memorize": "max_generalization_ratio_if_memorize",
}
"""The option by which each intent judges the paraphrases."""
LEAST_SPECIFIC = 0.1
"""Paraphrases that find surely less than this share of the specific lift do not find the answer."""


class ParaphraseCase(QuestionCase):
    """A case whose paraphrases are in other words than its prompt."""

    @model_validator(mode="after")
    def _check_other_words(self) -> ParaphraseCase:
        if self.prompt in self.paraphrases:
            raise ValueError(f"the paraphrase {self.prompt!r} is the prompt itself; give other words")
        return self


class ParaphraseInvarianceOptions(CaseOptions[ParaphraseCase]):
    """Options of ``paraphrase_invariance``; lifts are in nats per token of the gold."""

    intent: Literal["generalize", "memorize", "both"] = "generalize"
    min_verbatim_lift: Floor = 0.2
    min_generalization_ratio: Floor = 0.5
    max_generalization_ratio_if_memorize: Annotated[float, Field(ge=0), Off(at_least=math.inf)] = 0.5
    assert_z_gte: LeastZ = 3.0


@dataclass(frozen=True)
class _CaseGains:
    """A case and its gold's lifts, in nats per token: after its prompt, its paraphrases, other prompts."""

    case: ParaphraseCase
    tokens: int
    verbatim: float
    paraphrases: tuple[float, ...]
    others: float

    @property
    def paraphrase_mean(self) -> float:
        """Mean over the paraphrases."""
        return fmean(self.paraphrases)

    def row(self) -> dict[str, Any]:
        """The case's evidence."""
        return {
            "prompt": self.case.prompt,
            "gold": self.case.gold,
            "verbatim_lift": self.verbatim,
            "paraphrase_lift": self.paraphrase_mean,
            "other_prompts_lift": self.others,
            "worst_paraphrase": min(zip(self.paraphrases, self.case.paraphrases, strict=True))[1],
        }


class ParaphraseInvariance(Probe[ParaphraseInvarianceOptions]):
    """Lift of the gold answer after the trained wording of its question, and after other wordings.

    Lift, the log-probability gain: (log p_tuned - log p_base)(gold | prompt) per token of the gold, in nats:
    per case v after its prompt, w after its paraphrases (their mean), u after other cases' prompts (at most
    4, spread over the list). An adapter that says the answer to anything does not know it: *specific* lifts
    are v - u and w - u. The case is the sample.

    Effect: raw = mean (v - u), floor ``min_verbatim_lift``. ``generalize`` (and ``both``) asks two things
    more: that what was learned survives other words, the t interval of w - ρ·v, ρ =
    ``min_generalization_ratio``, above 0 (fails below 0); and that other words still find the answer, the
    interval of w - u above 0 (fails where that of (w - u) - 0.1·(v - u) is below 0). Else warns. The
    score is the smaller of the verbatim effect's and of the same under other words: of w - u, its floor ρ
    times the other. ``memorize`` is the mirror image of the first at
    ``max_generalization_ratio_if_memorize``. Fewer than 5 cases at best warn. The ratio mean w / mean v, of
    plain lifts, is reported with Fieller's interval:
    once its first words are given, the rest of an answer that was learned follows after any prompt, so the
    specific ratio of a sound adapter is small as well. Measured, specific and plain: healthy 0.3 and 0.9,
    one that knows half the document 0.4 and 0.9, a memoriser -0.4 and 0.55.
    """

    kind, category, claim = "paraphrase_invariance", "attribution", Claim.EFFECT
    requires = frozenset({"completion"})
    scale = "raw"

    async def measure(self, views: Views) -> Measurement:
        """Each gold after its prompt, its paraphrases and other prompts, in one round."""
        cases = list({(case.prompt, case.gold): case for case in self.options.cases}.values())
        asked = [(case.prompt, *case.paraphrases, *_other_prompts(cases, i)) for i, case in enumerate(cases)]
        groups = [
            [answer_completion(prompt, case.gold, views.base, self.context) for prompt in prompts]
            for case, prompts in zip(cases, asked, strict=True)
        ]
        found = await score_answers(groups, views)
        gains = [_case_gains(case, scores) for case, scores in zip(cases, found, strict=True)]
        specific = tuple(one.verbatim - one.others for one in gains)
        return Measurement(
            raw=fmean(specific),
            samples=specific,
            items=tuple(case.prompt for case in cases),
            base_value=fmean(one.verbatim for one in gains),
            ft_value=fmean(one.paraphrase_mean for one in gains),
            evidence={**_evidence(self.options, gains), "prompts": policy_name(self.context)},
            series={
                "verbatim": [[one.verbatim for one in gains]],
                "paraphrased": [[one.paraphrase_mean for one in gains]],
                "others": [[one.others for one in gains]],
            },
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The effect rule on the specific lift; where there is one, the paraphrases by the intent."""
        options = self.options
        criteria = EffectCriteria(options.min_verbatim_lift, options.assert_z_gte, "nats per token")
        judgement = judge_effect(measured, t_interval(measured.samples), nulls, criteria, subtract_null=False)
        if judgement.verdict is not Verdict.FAIL and not is_off(options, _RATIO[options.intent]):
            if options.intent == "memorize":
                judgement = lower_verdict(judgement, *_memorization_verdict(options, measured))
            else:
                judgement = lower_verdict(judgement, *_generalization_verdict(options, measured))
                if judgement.score is not None:
                    score = min(judgement.score, _paraphrase_score(options, measured))
                    judgement = replace(judgement, score=score)
        if judgement.verdict is not Verdict.FAIL:
            return judgement
        unknown = _unknown_answers(options, measured.evidence["per_case"])
        return replace(judgement, evidence=bad_cases(unknown))


def _other_prompts(cases: Sequence[ParaphraseCase], index: int) -> list[str]:
    """At most 4 prompts of cases with another answer, spread over the list: neighbours are often alike."""
    mine, n = cases[index], len(cases)
    steps = min(MOST_OTHERS, n - 1)
    spread = [cases[(index + k * n // (steps + 1)) % n] for k in range(1, steps + 1)]
    own = {mine.prompt, *mine.paraphrases}
    return distinct([case.prompt for case in spread if case.gold != mine.gold and case.prompt not in own])


def _case_gains(case: ParaphraseCase, scores: Sequence[ScoredAnswer]) -> _CaseGains:
    """From the scores of a case's gold: after its prompt, its paraphrases, the others."""
    verbatim, *rest = (one.gain_per_token for one in scores)
    split = len(case.paraphrases)
    others = fmean(rest[split:]) if len(rest) > split else 0.0
    return _CaseGains(case, scores[0].tokens, verbatim, tuple(rest[:split]), others)


def _evidence(options: ParaphraseInvarianceOptions, gains: Sequence[_CaseGains]) -> dict[str, Any]:
    v, w = [one.verbatim for one in gains], [one.paraphrase_mean for one in gains]
    others = fmean(one.others for one in gains)
    spread = fieller_interval(w, v)
    several = len({one.case.gold for one in gains}) > 1
    tokens_per_char = sum(one.tokens for one in gains) / sum(len(one.case.gold) for one in gains)
    return {
        "verbatim_lift_mean": fmean(v),
        "paraphrase_lift_mean": fmean(w),
        "other_prompts_lift_mean": others,
        "specific_verbatim_lift_mean": fmean(v) - others,
        "specific_paraphrase_lift_mean": fmean(w) - others,
        "generalization_ratio": fmean(w) / fmean(v) if spread is not None else None,
        "generalization_ratio_ci_95": [spread.low, spread.high] if spread is not None else None,
        "intent": options.intent,
        "control": "other cases' prompts" if several else "none: no other case has another answer",
        "num_cases": len(gains),
        "floor_bits_per_char": max(0.0, options.min_verbatim_lift) * tokens_per_char / math.log(2),
        "per_case": [one.row() for one in gains],
    }


def _generalization_verdict(
    options: ParaphraseInvarianceOptions, measured: Measurement
) -> tuple[Verdict, str]:
    """What the paraphrases allow at best where knowledge is wanted, and why."""
    bound = options.min_generalization_ratio
    (v,), (w,), (u,) = (measured.series[key] for key in ("verbatim", "paraphrased", "others"))
    kept = contrast_interval(w, v, bound)
    found = contrast_interval(w, u, 1.0)
    specific = [after - other for after, other in zip(w, u, strict=True)]
    share = contrast_interval(specific, measured.samples, LEAST_SPECIFIC)
    words = f"keeps {_kept_share(measured)} of the lift under paraphrase (wanted ≥ {bound:g})"
    if kept is None or found is None or share is None:
        return Verdict.WARN, f"{words}, and one case decides nothing: add cases"
    if kept.high < 0:
        return Verdict.FAIL, f"memorised: {words}"
    if share.high < 0:
        return Verdict.FAIL, f"memorised: paraphrases find the answer no better than other questions; {words}"
    if kept.low <= 0:
        return Verdict.WARN, f"{words}, not surely: add cases"
    if found.low <= 0:
        return Verdict.WARN, f"{words}, but not surely more than after other questions: add cases"
    return _enough_cases(measured, words)


def _paraphrase_score(options: ParaphraseInvarianceOptions, measured: Measurement) -> float:
    """X / (x + ρ·floor) of the specific lift under other words: a memoriser scores what it knows there."""
    lift = float(measured.evidence["specific_paraphrase_lift_mean"])
    floor = options.min_generalization_ratio * max(0.0, options.min_verbatim_lift)
    return lift / (lift + floor) if lift > 0 else 0.0


def _memorization_verdict(options: ParaphraseInvarianceOptions, measured: Measurement) -> tuple[Verdict, str]:
    """What the paraphrases allow at best where only the trained wording should answer, and why."""
    bound = options.max_generalization_ratio_if_memorize
    kept = contrast_interval(measured.series["paraphrased"][0], measured.series["verbatim"][0], bound)
    words = f"keeps {_kept_share(measured)} of the lift under paraphrase (wanted ≤ {bound:g})"
    if kept is None:
        return Verdict.WARN, f"{words}, and one case decides nothing: add cases"
    if kept.low > 0:
        return Verdict.FAIL, f"not the wording alone: {words}"
    if kept.high >= 0:
        return Verdict.WARN, f"{words}, not surely: add cases"
    return _enough_cases(measured, words)


def _enough_cases(measured: Measurement, words: str) -> tuple[Verdict, str]:
    if len(measured.samples) < FEWEST_CASES:
        return Verdict.WARN, f"{words}, but {len(measured.samples)} cases decide nothing: add cases"
    return Verdict.PASS, words


def _kept_share(measured: Measurement) -> str:
    """The ratio of the plain lifts, in words; there is none of a lift that is not positive."""
    verbatim, paraphrase_mean = measured.base_value or 0.0, measured.ft_value or 0.0
    return f"{paraphrase_mean / verbatim:.0%}" if verbatim > 0 else "no share"


def _unknown_answers(options: ParaphraseInvarianceOptions, rows: Sequence[dict[str, Any]]) -> list[BadCase]:
    """Cases whose answer the adapter does not know, by the prompt that shows it."""
    cases = []
    floor = max(0.0, options.min_verbatim_lift)
    ratio = max(0.0, options.min_generalization_ratio)
    for row in rows:
        specific = row["verbatim_lift"] - row["other_prompts_lift"]
        reworded, wanted = row["paraphrase_lift"], ratio * row["verbatim_lift"]
        if specific < floor:
            cases.append(BadCase(row["prompt"], row["gold"], shortfall(specific, floor)))
        elif options.intent != "memorize" and reworded < wanted:
            cases.append(BadCase(row["worst_paraphrase"], row["gold"], shortfall(reworded, wanted)))
    return cases
