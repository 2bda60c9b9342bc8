"""preference_flip: did the adapter learn to prefer the chosen answers to the rejected ones?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pytest_sway.document import Triple
from pytest_sway.probes.base import (
    Judgement,
    NullSample,
    Probe,
    ProbeContext,
    ProbeError,
    ProbeOptions,
    ProbeSkip,
)
from pytest_sway.probes.judging.effect import EffectCriteria, judge_effect, lower_verdict, score_every_item
from pytest_sway.probes.judging.thresholds import Floor, LeastZ, Off, Share, is_off
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.log_probability_gain import ScoredAnswer, score_groups_apart, shortfall
from pytest_sway.probes.shared.questions import answer_completion, policy_name
from pytest_sway.requests import RequestError, Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.intervals import rate_interval, t_interval

LEAST_BASE_WRONG = 8
"""Fewer triples than this, that the base has wrong, give no rate that could decide."""
_REASONS = 5


class PreferenceTriple(BaseModel):
    """A prompt with the answer to prefer and the one to leave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str = Field(min_length=1)
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)

    @model_validator(mode="after")
    def _two_answers(self) -> PreferenceTriple:
        if self.chosen == self.rejected:
            raise ValueError("chosen and rejected are the same text; there is nothing to prefer")
        return self


class PreferenceFlipOptions(ProbeOptions):
    """Options of ``preference_flip``; without ``triples`` the document's preferences are asked."""

    triples: list[PreferenceTriple] = Field(default=[])
    margin: Literal["per_token", "sum"] = "per_token"
    min_margin_gain: Floor = 0.1
    assert_flip_rate_gte: Share = 0.7
    min_triples_for_decision: Annotated[int, Off(at_most=0)] = 3
    assert_z_gte: LeastZ = 3.0

    def limited(self, limit: int) -> Self:
        """The first triples."""
        return self.model_copy(update={"triples": self.triples[:limit]})


class PreferenceFlip(Probe[PreferenceFlipOptions]):
    """Change of the margin by which the chosen answer is likelier than the rejected one.

    Margin: log p(chosen | prompt) - log p(rejected | prompt), each per token of its answer (``margin: sum``:
    the plain sums, which favour short answers), in nats. raw = mean over all triples of margin_tuned -
    margin_base, an effect with the floor ``min_margin_gain``; its interval is Student's t over triples.
    Judging only the triples that the base has wrong is regression to the mean: noise alone flips some.

    A triple is wrong (right) under a view where its margin is below (above) 0 by more than the
    resolution. Flips are counted net: wrong to right less right to wrong. Their rate among the triples
    that the base has wrong is held against ``assert_flip_rate_gte`` from 8 of those on: fails where the
    upper end of its Clopper-Pearson interval is below, warns where only the rate is.
    """

    kind, category, claim = "preference_flip", "attribution", Claim.EFFECT
    requires = frozenset({"completion"})
    scale = "raw"

    async def measure(self, views: Views) -> Measurement:
        """Both answers of every triple; one that cannot be scored is dropped by name."""
        triples = _triples(self.options, self.context)
        pairs = [
            [
                answer_completion(t.prompt, text, views.base, self.context, t.context)
                for text in (t.chosen, t.rejected)
            ]
            for t in triples
        ]
        scores = list(zip(triples, await score_groups_apart(pairs, views), strict=True))
        dropped = [f"{t.prompt}: {error}" for t, error in scores if isinstance(error, RequestError)]
        kept = [(t, pair) for t, pair in scores if not isinstance(pair, RequestError)]
        if not kept:
            raise ProbeError(f"none of the {len(triples)} triples can be scored; first error: {dropped[0]}")
        base = [_margin(pair, "base", self.options.margin) for _, pair in kept]
        tuned = [_margin(pair, "tuned", self.options.margin) for _, pair in kept]
        gains = [after - before for before, after in zip(base, tuned, strict=True)]
        return Measurement(
            raw=fmean(gains),
            samples=tuple(gains),
            items=tuple(triple.prompt for triple, _ in kept),
            base_value=fmean(base),
            ft_value=fmean(tuned),
            evidence={
                "total": len(kept),
                "mean_margin_delta": fmean(gains),
                "margin": self.options.margin,
                "dropped_triples": len(dropped),
                "dropped_reasons": dropped[:_REASONS],
                "prompts": policy_name(self.context),
                "per_triple": [
                    {"prompt": t.prompt, "chosen": t.chosen, "base_margin": before, "ft_margin": after}
                    for (t, _), before, after in zip(kept, base, tuned, strict=True)
                ],
            },
            series={"margins": [base, tuned]},
        )

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The effect rule on the change of the margin; the flips, where enough could flip."""
        unit = "nats per token" if self.options.margin == "per_token" else "nats"
        criteria = EffectCriteria(self.options.min_margin_gain, self.options.assert_z_gte, unit)
        interval = t_interval(measured.samples)
        judgement = judge_effect(measured, interval, nulls, criteria, subtract_null=False)
        judgement = score_every_item(judgement, measured.samples, criteria.floor)
        flips = _flips(measured)
        there, wanted = len(measured.samples), self.options.min_triples_for_decision
        if there < wanted:
            few = f"undecided: there are only {there} triples, but at least {wanted} are needed"
            judgement = lower_verdict(judgement, Verdict.WARN, few)
        if interval is not None and interval.high < 0:
            judgement = lower_verdict(judgement, Verdict.FAIL, "it prefers the rejected answers")
        elif flips["base_wrong"] >= LEAST_BASE_WRONG and not is_off(self.options, "assert_flip_rate_gte"):
            judgement = lower_verdict(judgement, *_rate_verdict(flips, self.options.assert_flip_rate_gte))
        if judgement.verdict is not Verdict.FAIL:
            return replace(judgement, evidence=flips)
        cases = bad_cases(_unlearned_triples(self.options, measured))
        return replace(judgement, evidence={**flips, **cases})


def _triples(options: PreferenceFlipOptions, context: ProbeContext) -> list[Triple]:
    """The option's triples, else the document's, each once; ProbeSkip without one."""
    given = [Triple(one.prompt, one.chosen, one.rejected) for one in options.triples]
    triples = list(dict.fromkeys(given or context.document.preferences))
    if not triples:
        raise ProbeSkip(
            "there are no triples; list them under triples, or add sections with preferences to the spec"
        )
    return triples


def _margin(scores: Sequence[ScoredAnswer], view: Literal["base", "tuned"], margin: str) -> float:
    """Margin of a triple's two answers under one view, in nats (per token)."""
    chosen, rejected = (getattr(one, view) / (one.tokens if margin == "per_token" else 1) for one in scores)
    return float(chosen - rejected)


def _flips(measured: Measurement) -> dict[str, Any]:
    """Which margins changed sides by more than the resolution; the rates are among the base-wrong."""
    base, tuned = measured.series["margins"]
    edge = measured.resolution
    pairs = list(zip(base, tuned, strict=True))
    wrong = sum(before < -edge for before, _ in pairs)
    flipped = sum(before < -edge and after > edge for before, after in pairs)
    lost = sum(before > edge and after < -edge for before, after in pairs)
    return {
        "base_wrong": wrong,
        "flipped": flipped,
        "flipped_back": lost,
        "flip_rate": flipped / wrong if wrong else None,
        "net_flip_rate": (flipped - lost) / wrong if wrong else None,
    }


def _rate_verdict(flips: dict[str, Any], wanted: float) -> tuple[Verdict, str]:
    """What the net flip rate allows at best, and its counts in words."""
    wrong, net = flips["base_wrong"], flips["flipped"] - flips["flipped_back"]
    corrected = f"the adapter corrected {flips['flipped']} of the base model's {wrong} wrong preferences"
    words = f"{corrected}; right preferences that became wrong: {flips['flipped_back']}"
    interval = rate_interval(max(0, net), wrong)
    if net / wrong >= wanted:
        return Verdict.PASS, words
    sure = interval is not None and interval.high < wanted
    return Verdict.FAIL if sure else Verdict.WARN, f"{words} (net rate of at least {wanted:.0%} required)"


def _unlearned_triples(options: PreferenceFlipOptions, measured: Measurement) -> list[BadCase]:
    """Triples that the adapter still has wrong, or that it did not learn."""
    floor = max(0.0, options.min_margin_gain)
    return [
        BadCase(row["prompt"], row["chosen"], shortfall(gain, floor))
        for row, gain in zip(measured.evidence["per_triple"], measured.samples, strict=True)
        if gain < floor or row["ft_margin"] <= 0
    ]
