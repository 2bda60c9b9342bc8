"""paraphrase_invariance: does the adapter know the answer, or only the wording of the question?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pytest_sway.probes.base import Judgement, NullSample, Probe
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect, lower_verdict, score_every_item
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
            raise ValueError(f"the paraphrase {self.prompt!r} is the prompt itself; reword it")
        return self


class ParaphraseInvarianceOptions(CaseOptions[ParaphraseCase]):
    """Options of ``paraphrase_invariance``; ``min_verbatim_lift`` is in log-odds per token of the gold."""

    intent: Literal["generalize", "memorize", "both"] = "generalize"
    min_verbatim_lift: Floor = 0.2
    min_generalization_ratio: Floor = 0.5
    max_generalization_ratio_if_memorize: Annotated[float, Field(ge=0), Off(at_least=math.inf)] = 0.5
    assert_z_gte: LeastZ = 3.0


@dataclass(frozen=True)
class _CaseGains:
    """A case and the scores of its gold: after its prompt, its paraphrases, other prompts."""

    case: ParaphraseCase
    own: ScoredAnswer
    paraphrased: Sequence[ScoredAnswer]
    after_others: Sequence[ScoredAnswer]

    @property
    def verbatim(self) -> float:
        """Lift after the prompt, in nats per token."""
        return self.own.gain_per_token

    @property
    def paraphrase_mean(self) -> float:
        """Lift after the paraphrases, in nats per token, their mean."""
        return fmean(one.gain_per_token for one in self.paraphrased)

    @property
    def other_prompts(self) -> float:
        """Lift after other prompts, in nats per token; 0 where there are none."""
        return fmean(one.gain_per_token for one in self.after_others) if self.after_others else 0.0

    @property
    def specific(self) -> float:
        """What its log-odds per token gained beyond what they gained after other prompts."""
        return self.own.log_odds_gain_per_token - self._odds_after_others

    @property
    def specific_paraphrased(self) -> float:
        """The same after the paraphrases."""
        return fmean(one.log_odds_gain_per_token for one in self.paraphrased) - self._odds_after_others

    @property
    def _odds_after_others(self) -> float:
        return fmean(one.log_odds_gain_per_token for one in self.after_others) if self.after_others else 0.0

    def row(self) -> dict[str, Any]:
        """The case's evidence."""
        gains = [one.gain_per_token for one in self.paraphrased]
        return {
            "prompt": self.case.prompt,
            "gold": self.case.gold,
            "verbatim_lift": self.verbatim,
            "paraphrase_lift": self.paraphrase_mean,
            "other_prompts_lift": self.other_prompts,
            "specific_lift": self.specific,
            "specific_paraphrase_lift": self.specific_paraphrased,
            "worst_paraphrase": self.case.paraphrases[gains.index(min(gains))],
        }


class ParaphraseInvariance(Probe[ParaphraseInvarianceOptions]):
    """Lift of the gold answer after the trained wording of its question, and after other wordings.

    An adapter that says the answer to anything does not know it. So the gold's gain after its own question
    is compared with its gain after other cases' questions, and on a scale on which gains from different
    starting points compare: a question echoes its answer, so the base has fewer nats to lose after it than
    after others, and a difference of gains in nats is biased by the base. The gain is that of the log-odds,
    Σ log(p / (1 - p)) over the gold's tokens (each p at most 0.999) per token: V after the prompt, W after
    the paraphrases (their mean), U after the others (their mean); *specific* lifts are V - U and W - U. Their
    expectation is 0 for an adapter that shifts the logit of each of the gold's tokens by as much after any
    question, which is what learning the manner or the answers alone does. The case is the sample. Of n cases
    the others of case i are those at i + ⌊k·n / (m + 1)⌋ (modulo n) for k = 1 … m, m = 4 or n - 1 if that is
    less, without those of the same gold.

    Effect: raw = mean (V - U), floor ``min_verbatim_lift``. ``generalize`` (and ``both``) asks two things
    more: that what was learned survives other words, the t interval of w - ρ·v, ρ =
    ``min_generalization_ratio``, above 0 (fails below 0), with v and w the plain lifts in nats per token
    after the prompt and after its paraphrases; and that other words still find the answer, the interval of
    W - U above 0 (fails where that of (W - U) - 0.1·(V - U) is below 0). Else warns. The score is the
    smaller of the verbatim effect's and of the same under other words: of W - U, its floor ρ times the other,
    each the mean of the cases' own scores.
    ``memorize`` is the mirror image of the first at ``max_generalization_ratio_if_memorize``. Fewer than 5
    cases at best warn. The ratio mean w / mean v is reported with Fieller's interval: once its first words
    are given, the rest of an answer that was learned follows after any prompt, so the specific ratio of a
    sound adapter is small as well.
    """

    kind, category, claim = "paraphrase_invariance", "attribution", Claim.EFFECT
    requires = frozenset({"completion"})
    scale = "raw"

    async def measure(self, views: Views) -> Measurement:
        """Each gold after its prompt, its paraphrases and other prompts, in one round."""
        cases = list({(case.context, case.prompt, case.gold): case for case in self.options.cases}.values())
        asked = [(case.prompt, *case.paraphrases, *_other_prompts(cases, i)) for i, case in enumerate(cases)]
        groups = [
            [
                answer_completion(prompt, case.gold, views.base, self.context, case.turns_before)
                for prompt in prompts
            ]
            for case, prompts in zip(cases, asked, strict=True)
        ]
        found = await score_answers(groups, views)
        gains = [_case_gains(case, scores) for case, scores in zip(cases, found, strict=True)]
        specific = tuple(one.specific for one in gains)
        return Measurement(
            raw=fmean(specific),
            samples=specific,
            items=tuple(case.prompt for case in cases),
            base_value=fmean(-one.own.base / one.own.tokens for one in gains),
            ft_value=fmean(-one.own.tuned / one.own.tokens for one in gains),
            evidence={**_evidence(self.options, gains), "prompts": policy_name(self.context)},
            series={
                "verbatim": [[one.verbatim for one in gains]],
                "paraphrased": [[one.paraphrase_mean for one in gains]],
                "specific_paraphrased": [[one.specific_paraphrased for one in gains]],
            },
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The effect rule on the specific lift; where there is one, the paraphrases by the intent."""
        options = self.options
        criteria = EffectCriteria(options.min_verbatim_lift, options.assert_z_gte, "log-odds per token")
        judgement = judge_effect(measured, t_interval(measured.samples), nulls, criteria, subtract_null=False)
        judgement = score_every_item(judgement, measured.samples, criteria.floor)
        if judgement.verdict is not Verdict.FAIL and not is_off(options, _RATIO[options.intent]):
            if options.intent == "memorize":
                judgement = lower_verdict(judgement, *_memorization_verdict(options, measured))
            else:
                judgement = lower_verdict(judgement, *_generalization_verdict(options, measured))
                ratio = max(0.0, options.min_generalization_ratio)
                reworded = measured.series["specific_paraphrased"][0]
                judgement = score_every_item(judgement, reworded, ratio * criteria.floor)
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
    split = 1 + len(case.paraphrases)
    return _CaseGains(case, scores[0], scores[1:split], scores[split:])


def _evidence(options: ParaphraseInvarianceOptions, gains: Sequence[_CaseGains]) -> dict[str, Any]:
    v, w = [one.verbatim for one in gains], [one.paraphrase_mean for one in gains]
    spread = fieller_interval(w, v)
    several = len({one.case.gold for one in gains}) > 1
    return {
        "verbatim_lift_mean": fmean(v),
        "paraphrase_lift_mean": fmean(w),
        "other_prompts_lift_mean": fmean(one.other_prompts for one in gains),
        "specific_verbatim_lift_mean": fmean(one.specific for one in gains),
        "specific_paraphrase_lift_mean": fmean(one.specific_paraphrased for one in gains),
        "generalization_ratio": fmean(w) / fmean(v) if spread is not None else None,
        "generalization_ratio_ci_95": [spread.low, spread.high] if spread is not None else None,
        "intent": options.intent,
        "control": "other cases' prompts" if several else "none: all cases have the same answer",
        "num_cases": len(gains),
        "per_case": [one.row() for one in gains],
    }


def _generalization_verdict(
    options: ParaphraseInvarianceOptions, measured: Measurement
) -> tuple[Verdict, str]:
    """What the paraphrases allow at best where knowledge is wanted, and why."""
    bound = options.min_generalization_ratio
    (v,), (w,), (specific,) = (
        measured.series[key] for key in ("verbatim", "paraphrased", "specific_paraphrased")
    )
    kept = contrast_interval(w, v, bound)
    found = t_interval(specific)
    share = contrast_interval(specific, measured.samples, LEAST_SPECIFIC)
    words = f"{_kept_share(measured)} (at least {100 * bound:g}% required)"
    if kept is None or found is None or share is None:
        return Verdict.WARN, f"{words}; one case is not enough to decide, add cases"
    if kept.high < 0:
        return Verdict.FAIL, f"memorised: {words}"
    if share.high < 0:
        why = "paraphrases raise the probability of the answer no more than other questions do"
        return Verdict.FAIL, f"memorised: {why}; {words}"
    if kept.low <= 0:
        return Verdict.WARN, f"{words}; this is undecided, add cases"
    if found.low <= 0:
        doubt = "but it is not certain that unrelated questions raise the probability of the answer less"
        return Verdict.WARN, f"{words}, {doubt}; add cases"
    return _enough_cases(measured, words)


def _memorization_verdict(options: ParaphraseInvarianceOptions, measured: Measurement) -> tuple[Verdict, str]:
    """What the paraphrases allow at best where only the trained wording should answer, and why."""
    bound = options.max_generalization_ratio_if_memorize
    kept = contrast_interval(measured.series["paraphrased"][0], measured.series["verbatim"][0], bound)
    words = f"{_kept_share(measured)} (at most {100 * bound:g}% allowed)"
    if kept is None:
        return Verdict.WARN, f"{words}; one case is not enough to decide, add cases"
    if kept.low > 0:
        return Verdict.FAIL, f"not memorised: the adapter also answers other wordings; {words}"
    if kept.high >= 0:
        return Verdict.WARN, f"{words}; this is undecided, add cases"
    return _enough_cases(measured, words)


def _enough_cases(measured: Measurement, words: str) -> tuple[Verdict, str]:
    if len(measured.samples) < FEWEST_CASES:
        return Verdict.WARN, f"{words}, but {len(measured.samples)} cases are too few to decide; add cases"
    return Verdict.PASS, words


def _kept_share(measured: Measurement) -> str:
    """The ratio of the plain lifts, in words; there is none of a lift that is not positive."""
    verbatim, paraphrased = (fmean(measured.series[key][0]) for key in ("verbatim", "paraphrased"))
    share = f"{paraphrased / verbatim:.0%}" if verbatim > 0 else "no share"
    return f"when the questions are rephrased, the adapter keeps {share} of its gain over the base model"


def _unknown_answers(options: ParaphraseInvarianceOptions, rows: Sequence[dict[str, Any]]) -> list[BadCase]:
    """Cases whose answer the adapter does not know, by the prompt that shows it."""
    cases = []
    floor = max(0.0, options.min_verbatim_lift)
    ratio = max(0.0, options.min_generalization_ratio)
    for row in rows:
        specific = row["specific_lift"]
        reworded, wanted = row["paraphrase_lift"], ratio * row["verbatim_lift"]
        if specific < floor:
            cases.append(BadCase(row["prompt"], row["gold"], shortfall(specific, floor)))
        elif options.intent != "memorize" and reworded < wanted:
            cases.append(BadCase(row["worst_paraphrase"], row["gold"], shortfall(reworded, wanted)))
    return cases
