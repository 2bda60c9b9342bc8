"""Runs one probe on one subject: from a measure to a result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pytest_sway.backends.protocols import Subject
from pytest_sway.engine.drive import drive
from pytest_sway.engine.engine import Engine
from pytest_sway.nulls.population import Population
from pytest_sway.probes.base import Claim, Judgement, Nulls, Probe, ProbeError
from pytest_sway.probes.null_adapter import FEWEST_RUNS
from pytest_sway.requests import RequestError, View, Views
from pytest_sway.result import Measurement, ProbeResult, Verdict, finite
from pytest_sway.statistics.prediction import shown


@dataclass(frozen=True)
class Bench:
    """What a probe is measured with: the values of the fixture chain."""

    engine: Engine
    subject: Subject
    population: Population
    capabilities: frozenset[str]


class SwayResult:
    """A probe's result, measured when it is first looked at; reads like a :class:`ProbeResult`.

    As the fixture ``sway_result`` it is measured in the test's call phase, before the body, so a model
    that cannot be loaded is a setup error and a verdict is a failure.
    """

    def __init__(self, measure: Callable[[], ProbeResult]) -> None:
        self._measure = measure
        self._result: ProbeResult | None = None

    def resolve(self) -> ProbeResult:
        """The result; measures on the first call."""
        if self._result is None:
            self._result = self._measure()
        return self._result

    @property
    def measured(self) -> ProbeResult | None:
        """The result if it was measured already."""
        return self._result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.resolve(), name)


def run_probe(probe: Probe[Any], bench: Bench | None) -> ProbeResult:
    """Measure and judge; bad inputs become a verdict, never an exception.

    Args:
        probe: with its options.
        bench: None for a pre-run probe, which asks nothing of a model.
    """
    began = time.perf_counter()
    if not probe.options.enabled:
        result = unmeasured(probe, Verdict.SKIP, "disabled in spec")
    elif bench is not None and (message := _missing(probe, bench)):
        result = unmeasured(probe, Verdict.SKIP, message)
    else:
        try:
            result = _measured(probe, bench)
        except (ProbeError, RequestError) as error:
            result = unmeasured(probe, Verdict.ERROR, str(error))
    return replace(result, duration_s=time.perf_counter() - began)


def _missing(probe: Probe[Any], bench: Bench) -> str:
    """Why this backend or this adapter cannot be asked what the probe asks; empty where it can."""
    if absent := sorted(probe.requires - bench.capabilities):
        return f"the backend cannot serve: {', '.join(absent)}"
    lacks = bench.subject.lacks
    return "; ".join(
        f"the adapter has no {name}: {lacks[name]}" for name in sorted(probe.requires & lacks.keys())
    )


def _measured(probe: Probe[Any], bench: Bench | None) -> ProbeResult:
    if bench is None:
        nowhere = View("")
        (measured,) = drive([probe.measure(probe.options, Views(nowhere, nowhere, nowhere))], lambda _: {})
        if isinstance(measured, Exception):
            raise measured
        return _result(probe, measured, None, probe.judge(probe.options, measured, None))
    subject = bench.subject
    views = Views(subject.base, subject.tuned, subject.tuned)
    planned = bench.population.for_kind(probe.kind) if probe.scale is not None else ()
    keep = bench.population.plan is None or bench.population.plan.cache
    outcome = bench.engine.run(probe, probe.options, views, planned, keep_nulls=keep)
    if not outcome.measured.is_finite:
        broken = Judgement(Verdict.ERROR, "the model's answers are not finite numbers")
        return _result(probe, outcome.measured, None, broken)
    nulls = None
    if planned and bench.population.plan is not None:
        resolution = bench.engine.resolution(subject.base)
        if len(outcome.nulls) < min(len(planned), FEWEST_RUNS):
            reason = f"{len(outcome.failed)} of {len(planned)} null adapters failed: {outcome.failed[0]}"
            return _result(probe, outcome.measured, None, Judgement(Verdict.ERROR, reason))
        nulls = Nulls(
            outcome.nulls,
            bench.population.plan.family,
            probe.scale or "raw",
            outcome.failed,
            resolution,
        )
    judgement = probe.judge(probe.options, outcome.measured, nulls)
    result = _result(probe, outcome.measured, nulls, judgement)
    if subject.inert and probe.claim is not Claim.BASELINE:
        return replace(result, message="the adapter is inert: its update is zero, so it changes nothing")
    return result


def _result(
    probe: Probe[Any], measured: Measurement, nulls: Nulls | None, judgement: Judgement
) -> ProbeResult:
    interval = judgement.interval
    evidence = {**measured.evidence, **judgement.evidence, "weight": probe.options.weight}
    if interval is not None:
        evidence["raw_ci_95"] = [interval.low, interval.high]
        evidence["ci_approximate"] = interval.approximate
    z = shown(judgement.z) if judgement.z is not None else None
    if z is not None:
        evidence["z_by_rank"] = {"rank_1.00": z}
    return finite(
        replace(
            unmeasured(probe, judgement.verdict, judgement.message),
            score=judgement.score,
            raw=measured.raw,
            z_score=z,
            base_value=measured.base_value,
            ft_value=measured.ft_value,
            evidence=evidence,
            ci_95=(interval.low, interval.high) if interval is not None else None,
            null=_null(nulls, judgement),
            distinguishable=judgement.distinguishable,
        )
    )


def _null(nulls: Nulls | None, judgement: Judgement) -> dict[str, Any] | None:
    """The null population's side of a result, for the reports."""
    prediction = judgement.prediction
    if nulls is None or prediction is None:
        return None
    return {
        "family": nulls.family,
        "n": prediction.n,
        "mean": prediction.mean,
        "std": prediction.sd,
        "z": shown(prediction.z) if prediction.z is not None else None,
        "p": prediction.p,
        "rank": prediction.rank,
        "ratio": prediction.ratio,
        "reason": prediction.reason,
        "failed": list(nulls.failed),
        "resolution": nulls.resolution,
    }


def unmeasured(probe: Probe[Any], verdict: Verdict, message: str) -> ProbeResult:
    """A probe's result without a number: what it is, and what became of it."""
    return ProbeResult(
        name=probe.name,
        kind=probe.kind,
        verdict=verdict,
        message=message,
        evidence={"weight": probe.options.weight},
        category=probe.category,
        claim=probe.claim.value,
        weight=probe.options.weight,
    )
