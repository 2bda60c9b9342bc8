"""What the random adapters say of a whole suite: which effects are real, and would noise have passed?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_sway.result import (
    Claim,
    EffectsSummary,
    NullComparison,
    NullComposites,
    NullSummary,
    NullVerdict,
    ProbeResult,
    Score,
)
from pytest_sway.statistics.multiple_testing import benjamini_hochberg, holm
from pytest_sway.statistics.rate_bounds import upper_bound
from pytest_sway.suites.composite import composite
from pytest_sway.suites.gate import GateCriteria, judge_gate

LEVEL = 0.05
"""Of both procedures for several probes."""
_SIGNAL_ALONE = "only the size of the effect is compared, not its shape"


def null_summary(
    results: Sequence[ProbeResult], criteria: GateCriteria, weights: Mapping[str, float]
) -> NullSummary:
    """A suite against its null adapters, for the reports.

    Args:
        results: one per probe.
        criteria: what the suite is held to.
        weights: of the categories.
    """
    effects = [r for r in results if r.claim is Claim.EFFECT and r.null is not None]
    return NullSummary(
        effects=_effects_summary(effects),
        nulls=_null_composites(effects, criteria, weights),
        not_calibrated={r.name: reason for r in results if (reason := _not_calibrated(r))},
    )


def _not_calibrated(result: ProbeResult) -> str:
    if result.claim is Claim.DESCRIPTION:
        return ""
    signal_alone = result.claim is Claim.SHAPE and result.null is not None
    return _SIGNAL_ALONE if signal_alone else result.not_calibrated


def _effects_summary(effects: Sequence[ProbeResult]) -> EffectsSummary | None:
    """Which effects are more than random weights when all are looked at together.

    Holm (1979) keeps the chance of a single false one below 5 %, however the probes share null draws;
    Benjamini and Hochberg (1995) keep the expected share of false ones there.
    """
    p_values = {r.name: _p(r) for r in effects}
    if not p_values:
        return None
    values = list(p_values.values())
    return EffectsSummary(
        level=LEVEL,
        p=p_values,
        holm=_accepted_names(p_values, holm(values)),
        benjamini_hochberg=_accepted_names(p_values, benjamini_hochberg(values)),
    )


def _accepted_names(names: Iterable[str], adjusted: Sequence[float]) -> list[str]:
    return [name for name, p in zip(names, adjusted, strict=True) if p <= LEVEL]


def _null(result: ProbeResult) -> NullComparison:
    assert result.null is not None  # effects that were compared, chosen by null_summary()
    return result.null


def _p(result: ProbeResult) -> float:
    """The prediction's p; what the draws alone support where there is none, or the wrong way."""
    null = _null(result)
    return null.rank_p if null.p is None else null.p


def _null_composites(
    effects: Sequence[ProbeResult], criteria: GateCriteria, weights: Mapping[str, float]
) -> NullComposites | None:
    """The adapter among its nulls by the composite of the effect probes; each null against the others.

    The composite of what does not stand out is 0, so most nulls are level with each other.
    """
    judged = [{one.draw: one for one in _null(r).verdicts} for r in effects]
    draws = sorted(set.intersection(*(set(one) for one in judged))) if judged else []
    if not draws:
        return None
    own = composite(effects, weights).overall
    nulls = [_as_null(effects, judged, draw) for draw in draws]
    composites = [composite(results, weights) for results in nulls]
    passed = sum(_passes(null, score, criteria) for null, score in zip(nulls, composites, strict=True))
    scores = [score.overall for score in composites]
    return NullComposites(
        family=_null(effects[0]).family,
        n=len(draws),
        passed=passed,
        at_most=upper_bound(passed, len(draws)),
        composite_of_effects=own,
        nulls_composites=scores,
        better=sum(score > own for score in scores),
        level=sum(score == own for score in scores),
    )


def _as_null(
    effects: Sequence[ProbeResult], judged: Sequence[Mapping[int, NullVerdict]], draw: int
) -> list[ProbeResult]:
    """The effect probes' results, had this random adapter been the subject."""
    return [
        replace(
            result,
            verdict=verdicts[draw].verdict,
            score=verdicts[draw].score,
            distinguishable=verdicts[draw].distinguishable,
        )
        for result, verdicts in zip(effects, judged, strict=True)
    ]


def _passes(results: Sequence[ProbeResult], score: Score, criteria: GateCriteria) -> bool:
    names = {result.name: "" for result in results}
    without_limit = replace(criteria, limit=None)
    return judge_gate(results, names, list(names), score, without_limit).status == "passed"
