"""Runs one probe on one subject: from a measure to a result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pytest_sway.backends.base import BackendError, Subject
from pytest_sway.backends.null_population import NullPopulation
from pytest_sway.engine.drive import drive
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.measures import Outcome, RunLimits, TimedOut
from pytest_sway.engine.noise_floor import NoiseFloor
from pytest_sway.items.null_comparison import (
    NullMeasurements,
    null_comparison,
    null_measurements,
    null_views_for,
    prediction_of,
    z_by_rank,
)
from pytest_sway.probes.base import Judgement, NoSignal, Probe, ProbeError, ProbeSkip
from pytest_sway.probes.shared import optional_packages
from pytest_sway.probes.shared.bad_cases import bad_cases
from pytest_sway.probes.shared.taught_examples import taught_cases
from pytest_sway.requests import RequestError, View, Views
from pytest_sway.result import Claim, Measurement, ProbeResult, Sample, Verdict
from pytest_sway.suites.non_finite import without_non_finite

_LONGEST_ITEM = 160
"""Characters of an item's text in a report."""
_LONGEST_PROMPT = 1000
_INERT = "the adapter is inert: its update is zero, so it changes nothing"
_AGAIN = "run the suite again"
_ANSWERS_KEPT = f"{_AGAIN} (the answers so far are cached)"


@dataclass(frozen=True)
class MeasurementContext:
    """What a probe is measured with: the values of the fixture chain."""

    engine: Engine
    subject: Subject
    population: NullPopulation
    capabilities: frozenset[str]
    context_length: int | None = None


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


def run_probe(probe: Probe[Any], measured_with: MeasurementContext | None) -> ProbeResult:
    """Measure and judge; bad inputs become a verdict, never an exception.

    Args:
        probe: with its options.
        measured_with: None for a pre-run probe, which asks nothing of a model.
    """
    began = time.perf_counter()
    if reason := why_skipped(probe, measured_with):
        missing = {"missing_extra": probe.extra} if _why_extra_missing(probe) == reason else {}
        result = result_without_measurement(probe, Verdict.SKIP, reason, **missing)
    else:
        try:
            result = _measure_and_judge(probe, measured_with, began)
        except NoSignal as reason:
            is_inert = measured_with is not None and measured_with.subject.inert
            result = result_without_measurement(probe, Verdict.SKIP, _INERT if is_inert else str(reason))
        except ProbeSkip as reason:
            result = result_without_measurement(probe, Verdict.SKIP, str(reason))
        except TimedOut:
            what = f"Timeout (>{probe.timeout}s); {_how_to_go_on(measured_with)}, or increase the timeout"
            result = result_without_measurement(probe, Verdict.ERROR, what)
        except pytest.fail.Exception as error:  # pytest-timeout's signal
            what = f"{str(error).rstrip('.')}; {_how_to_go_on(measured_with)}, or increase the timeout"
            result = result_without_measurement(probe, Verdict.ERROR, what)
        except BackendError as error:
            what = f"{error}; {_how_to_go_on(measured_with)}"
            result = result_without_measurement(probe, Verdict.ERROR, what)
        except (ProbeError, RequestError) as error:
            result = result_without_measurement(probe, Verdict.ERROR, str(error))
    return replace(result, duration_s=time.perf_counter() - began)


def _how_to_go_on(measured_with: MeasurementContext | None) -> str:
    """Whether the next run has the answers of this one."""
    kept = measured_with is None or measured_with.engine.keeps_answers
    return _ANSWERS_KEPT if kept else _AGAIN


def why_skipped(probe: Probe[Any], measured_with: MeasurementContext | None) -> str:
    """Why a probe is not measured: its entry, its extra, this backend or this adapter; empty where it is."""
    if not probe.options.enabled:
        return "disabled in spec"
    if probe.context.profile == "quick" and probe.options.quick_items == 0:
        return "not measured with profile: quick"
    if (missing := _why_extra_missing(probe)) or measured_with is None:
        return missing
    if absent := sorted(probe.requires - measured_with.capabilities):
        return f"the backend does not support features that this probe needs: {', '.join(absent)}"
    planned = measured_with.population.plan is not None  # then it is reported as an error
    return measured_with.population.reason if probe.claim is Claim.BASELINE and not planned else ""


def _why_extra_missing(probe: Probe[Any]) -> str:
    return optional_packages.why_missing(probe.extra) if probe.extra else ""


def _measure_and_judge(
    probe: Probe[Any], measured_with: MeasurementContext | None, began: float
) -> ProbeResult:
    if measured_with is None:
        nowhere = View("")
        (measured,) = drive([probe.measure(Views(nowhere, nowhere, nowhere))], lambda _: {})
        if isinstance(measured, Exception):
            raise measured
        result = _result(probe, measured, probe.judge(measured, None), None)
        return replace(result, not_calibrated=null_views_for(probe, NullPopulation()).why_not)
    subject, plan = measured_with.subject, measured_with.population.plan
    if probe.claim is Claim.BASELINE and measured_with.population.reason:
        raise ProbeError(measured_with.population.reason)
    chosen = null_views_for(probe, measured_with.population)
    views = Views(subject.base, subject.tuned, subject.tuned)
    limits = RunLimits(
        keep_nulls=plan is None or plan.cache,
        deadline=began + probe.timeout if probe.timeout is not None else None,
    )
    engine = measured_with.engine
    outcome = engine.run(probe, views, chosen.first_views, limits)
    answered = _with_prompt(outcome)
    if not answered.is_finite:
        broken = Judgement(Verdict.ERROR, "the model returned NaN or infinity")
        return _result(probe, answered, broken, None)
    finest = chosen.views or probe.claim in (Claim.EFFECT, Claim.NO_HARM)
    resolution = engine.noise_floor(subject.base) if finest else NoiseFloor()
    measured = replace(answered, resolution=resolution.logprob)
    family = plan.family if plan is not None else ""
    outcomes, waiting = outcome.nulls, chosen.further_views
    while True:
        if not (waiting and chosen.lacks_answers(outcomes)):
            found = null_measurements(probe, chosen, outcomes, family, resolution)
            judgement = probe.judge(measured, found.nulls)
            if not (waiting and judgement.needs_more_draws(len(chosen.views))):
                break
        outcomes += engine.run_nulls(probe, views, waiting.pop(0), limits)
    result = replace(_result(probe, measured, judgement, found), not_calibrated=chosen.why_not)
    if subject.inert and probe.claim is not Claim.BASELINE:
        return replace(result, message=_INERT)
    return result


def _with_prompt(outcome: Outcome) -> Measurement:
    """The subject's measurement, with its first prompt as the model read it among the evidence."""
    text = outcome.prompt
    if len(text) > _LONGEST_PROMPT:
        text = f"{text[: _LONGEST_PROMPT // 2]} … {text[-_LONGEST_PROMPT // 2 :]}"
    read = {"rendered_prompt": text} if text else {}
    return replace(outcome.measured, evidence={**read, **outcome.measured.evidence})


def _result(
    probe: Probe[Any], measured: Measurement, judgement: Judgement, found: NullMeasurements | None
) -> ProbeResult:
    interval = judgement.interval
    evidence = {**measured.evidence, **judgement.evidence, "weight": probe.options.weight}
    is_effect = probe.claim in (Claim.EFFECT, Claim.SHAPE)
    if judgement.verdict is Verdict.FAIL and is_effect and "prompt" not in evidence:
        evidence |= bad_cases(taught_cases(probe.options, probe.context.document))
    if interval is not None:
        evidence["raw_ci_95"] = [interval.low, interval.high]
        evidence["ci_approximate"] = interval.approximate
    if mined := probe.options.mined_items:
        evidence["mined_items"] = mined
        chosen = f"sway mine selected {mined} of the probe's items"
        limit = ", so the interval describes only items selected in this way"
        chosen += limit if interval is not None else ""
        judgement = replace(judgement, message=f"{judgement.message}; {chosen}")
    null = None
    if found is not None and probe.claim is not Claim.BASELINE:
        prediction = prediction_of(judgement, measured, found.nulls)
        null = null_comparison(probe, measured, found, prediction) if prediction is not None else None
    if null is not None and (profile := z_by_rank(null)):
        evidence["z_by_rank"] = profile
    of_raw = null if probe.claim is not Claim.SHAPE else None  # a shape's null is its signal's
    return without_non_finite(
        replace(
            result_without_measurement(probe, judgement.verdict, judgement.message),
            score=judgement.score,
            raw=judgement.raw if judgement.raw is not None else measured.raw,
            z_score=of_raw.z if of_raw is not None else None,
            base_value=measured.base_value,
            ft_value=measured.ft_value,
            evidence=evidence,
            ci_95=(float(interval.low), float(interval.high)) if interval is not None else None,
            null=null,
            distinguishable=judgement.distinguishable,
            samples=_samples(measured),
        )
    )


def _samples(measured: Measurement) -> list[Sample]:
    """Each item's value under a name of its own; none where a measure left items out."""
    if len(measured.items) != len(measured.samples):
        return []
    seen: Counter[str] = Counter()
    named = []
    for text, value in zip(measured.items, measured.samples, strict=True):
        name = str(text)  # a third-party probe may name its items by number
        if len(name) > _LONGEST_ITEM:
            name = f"{name[: _LONGEST_ITEM - 1]}…"
        seen[name] += 1
        named.append(Sample(name if seen[name] == 1 else f"{name} ({seen[name]})", value))
    return named


def result_without_measurement(
    probe: Probe[Any], verdict: Verdict, message: str, **evidence: Any
) -> ProbeResult:
    """A probe's result without a number: what it is, and what became of it."""
    return ProbeResult(
        name=probe.name,
        kind=probe.kind,
        verdict=verdict,
        message=message,
        evidence={**evidence, "weight": probe.options.weight},
        category=probe.category,
        claim=probe.claim,
        weight=probe.options.weight,
    )
