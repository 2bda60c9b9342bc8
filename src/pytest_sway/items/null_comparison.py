"""A probe against null adapters: which are asked, what their measurements are, how the probe compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Any

from pytest_sway.backends.null_population import SIGNS, NullPopulation
from pytest_sway.engine.measures import NullOutcomes
from pytest_sway.engine.noise_floor import NoiseFloor
from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeError
from pytest_sway.requests import View
from pytest_sway.result import (
    AlignmentRatio,
    Claim,
    Measurement,
    NullComparison,
    NullVerdict,
    RankComparison,
)
from pytest_sway.statistics.prediction import Prediction, display_z

_NO_NULL_OF = {
    Claim.NO_HARM: "no-harm probes have a limit instead; to compare them, add their kinds to calibrate_kinds",
    Claim.PRE_RUN: "pre-run probes read only training files and do not use the model",
    Claim.DESCRIPTION: "probes of this kind show answers and do not judge them",
}
_PLAIN = "this kind is not compared by default; to compare it, add it to calibrate_kinds"
SIGNAL_DRAWS = 8
"""How many draws tell whether a shape has a signal (z ≥ 2): more changed no verdict and cost most."""
SIGNAL_LOOKS = 4, 5
"""After how many of them it is looked whether the others could change the verdict. With four that takes 9.5
standard deviations of the null, with five 6.6, with three 19: more than the scale -1/√T has, as a rule."""
_FEWEST = 3
"""Fewer nulls than this allow no comparison; a null itself is judged against at least two others."""


@dataclass(frozen=True)
class NullViews:
    """The random adapters that a probe is compared with.

    Attributes:
        why_not: why there are none; empty where there are.
        views: the draws that decide.
        by_rank: draws at other ranks, by the factor on the rank.
        random_signs: draws of the family ``signs``, for the alignment ratio.
        looks: after how many of ``views`` it is looked whether the others could change the verdict; the first
            of these is how many are measured in any case. Empty: all are.
    """

    why_not: str = ""
    views: tuple[View, ...] = ()
    by_rank: Mapping[float, tuple[View, ...]] = field(default_factory=dict)
    random_signs: tuple[View, ...] = ()
    looks: tuple[int, ...] = ()

    @property
    def first_views(self) -> list[View]:
        """The null views that are measured in any case."""
        return [*self._main_and_by_rank(slice(self._first)), *self.random_signs]

    @property
    def further_views(self) -> list[list[View]]:
        """The null views that are measured where they could change the verdict, look by look."""
        return [self._main_and_by_rank(slice(*part)) for part in pairwise([*self.looks, len(self.views)])]

    def lacks_answers(self, found: NullOutcomes) -> bool:
        """Whether so many failed that there is no comparison without further ones."""
        return sum(view in found.measured for view in self.views) < self.fewest

    @property
    def fewest(self) -> int:
        """How many must have answered for a comparison."""
        return min(self._first, _FEWEST)

    @property
    def _first(self) -> int:
        return self.looks[0] if self.looks else len(self.views)

    def _main_and_by_rank(self, which: slice) -> list[View]:
        return [view for views in (self.views, *self.by_rank.values()) for view in views[which]]


def null_views_for(probe: Probe[Any], population: NullPopulation) -> NullViews:
    """What a probe is calibrated on, or why it is not."""
    first = population.plan.first_runs if population.plan is not None else 0
    if probe.claim is Claim.BASELINE:  # whether they can be made shows on the first ones
        return NullViews(population.reason, population.views[:first])
    if why_not := _why_not(probe, population):
        return NullViews(why_not)
    measures_all = first >= len(population.views)
    if probe.claim is Claim.SHAPE:
        by_rank = {factor: views[:SIGNAL_DRAWS] for factor, views in population.by_rank.items()}
        views = population.views[:SIGNAL_DRAWS]
        looks = () if measures_all else tuple(n for n in SIGNAL_LOOKS if n < len(views))
        return NullViews("", views, by_rank, looks=looks)
    divergence = probe.claim is Claim.EFFECT and probe.scale in ("log", "inverse_root")
    alignment_views = population.alignment_views if divergence else ()
    looks = () if measures_all else (first,)
    return NullViews("", population.views, population.by_rank, alignment_views, looks)


def _why_not(probe: Probe[Any], population: NullPopulation) -> str:
    plan = population.plan
    if probe.claim in (Claim.PRE_RUN, Claim.DESCRIPTION):
        return _NO_NULL_OF[probe.claim]
    if plan is None or not population.views:
        return population.reason
    if plan.kinds:
        return "" if probe.kind in plan.kinds else "the kind is not in calibrate_kinds"
    return "" if probe.scale is not None else _NO_NULL_OF.get(probe.claim, _PLAIN)


@dataclass(frozen=True)
class NullMeasurements:
    """A probe's measurements on its nulls, as its judge takes them."""

    nulls: NullSample
    by_rank: Mapping[float, NullSample]
    random_signs: tuple[Measurement, ...]
    indices: tuple[int, ...]
    """Which draw of the population each of ``nulls.samples`` is."""


def null_measurements(
    probe: Probe[Any], chosen: NullViews, found: NullOutcomes, family: str, resolution: NoiseFloor
) -> NullMeasurements:
    """The outcomes of the null views, as populations.

    Raises:
        ProbeError: too few nulls answered for a comparison.
    """
    scale = probe.scale or "raw"
    finest = resolution.logprob if scale == "raw" else resolution.divergence

    def null_sample(views: tuple[View, ...]) -> NullSample:
        draws = tuple(found.measured[view] for view in views if view in found.measured)
        failed = tuple(found.failed[view] for view in views if view in found.failed)
        return NullSample(draws, family, scale, probe.better, failed, finest)

    main = null_sample(chosen.views)
    if len(main.samples) < chosen.fewest:
        tried = len(main.samples) + len(main.failed)
        raise ProbeError(
            f"cannot compare with null adapters, because {len(main.failed)} of {tried} failed: "
            f"{main.failed[0]}"
        )
    return NullMeasurements(
        main,
        {factor: null_sample(views) for factor, views in chosen.by_rank.items()},
        tuple(found.measured[view] for view in chosen.random_signs if view in found.measured),
        tuple(i for i, view in enumerate(chosen.views) if view in found.measured),
    )


def null_comparison(
    probe: Probe[Any], measured: Measurement, found: NullMeasurements, prediction: Prediction
) -> NullComparison:
    """How the probe compares with its null adapters, for the reports."""
    nulls = found.nulls
    return NullComparison(
        family=nulls.family,
        n=prediction.n,
        mean=prediction.mean,
        std=prediction.sd,
        scale=nulls.scale,
        z=_clipped(prediction.z),
        p=prediction.p,
        rank=prediction.rank,
        rank_p=prediction.rank_p,
        ratio=prediction.ratio,
        reason=prediction.reason,
        draws=prediction.draws,
        failed=nulls.failed,
        resolution=nulls.resolution,
        alignment_ratio=_alignment_ratio(measured, found, prediction),
        by_rank=_by_rank(probe, measured, found),
        verdicts=_verdicts(probe, found),
    )


def z_by_rank(null: NullComparison) -> dict[str, float]:
    """Schema 1's profile: z by ``rank_<factor>``, the population that decides at 1.00."""
    profile = {"rank_1.00": null.z, **{name: other.z for name, other in null.by_rank.items()}}
    return {name: z for name, z in profile.items() if z is not None}


def _by_rank(probe: Probe[Any], measured: Measurement, found: NullMeasurements) -> dict[str, RankComparison]:
    profile = {}
    for factor, nulls in found.by_rank.items():
        at = prediction_of(probe.judge(measured, nulls), measured, nulls)
        if at is not None:
            profile[f"rank_{factor:.2f}"] = RankComparison(at.mean, at.sd, at.n, _clipped(at.z))
    return profile


def prediction_of(judgement: Judgement, measured: Measurement, nulls: NullSample) -> Prediction | None:
    """The judge's own; for a claim that is calibrated on request, that of its ``raw``."""
    return judgement.prediction or nulls.prediction(measured)


def _alignment_ratio(
    measured: Measurement, found: NullMeasurements, prediction: Prediction
) -> AlignmentRatio | None:
    """How far the parts of the update pull together; None where it is unknown.

    Of a signed statistic it is: the mean of its null lies near zero, and a ratio to it says nothing.
    """
    if found.nulls.scale == "raw":
        return None
    if found.nulls.family == SIGNS:
        return AlignmentRatio(n=prediction.n, ratio=prediction.ratio)
    values = [value for draw in found.random_signs if (value := draw.statistic()) is not None]
    value = measured.statistic()
    if not values or value is None or fmean(values) <= found.nulls.resolution:
        return None
    return AlignmentRatio(n=len(values), ratio=value / fmean(values))


def _verdicts(probe: Probe[Any], found: NullMeasurements) -> tuple[NullVerdict, ...]:
    """What the effect rule says of every null, against the others; in the order of the draws."""
    if probe.claim is not Claim.EFFECT or len(found.nulls.samples) < _FEWEST:
        return ()
    verdicts = []
    for i, (index, draw) in enumerate(zip(found.indices, found.nulls.samples, strict=True)):
        try:
            one = probe.judge(draw, found.nulls.without(i))
        except ProbeError:  # this null cannot be judged; it is one less
            continue
        verdicts.append(NullVerdict(index, one.verdict, one.score, bool(one.distinguishable)))
    return tuple(verdicts)


def _clipped(z: float | None) -> float | None:
    return display_z(z) if z is not None else None
