"""What a probe would cost, for ``--sway-plan`` and for the line at the start of a long run."""

from __future__ import annotations

from typing import Any

from pytest_sway.items.null_comparison import null_views_for
from pytest_sway.items.run_probe import MeasurementContext, why_skipped
from pytest_sway.probes.base import Probe
from pytest_sway.requests import Views
from pytest_sway.suites.cost_plan import PlannedProbe


def planned_probe(probe: Probe[Any], measured_with: MeasurementContext | None, suite: str) -> PlannedProbe:
    """A probe's estimated cost, or why it asks nothing of the model."""
    if reason := why_skipped(probe, measured_with):
        return PlannedProbe(suite, probe.name, reason=reason)
    if measured_with is None:
        return PlannedProbe(suite, probe.name, reason="reads only training files and does not use the model")
    subject = measured_with.subject
    chosen = null_views_for(probe, measured_with.population)
    found = measured_with.engine.estimate(
        probe,
        Views(subject.base, subject.tuned, subject.tuned),
        chosen.first_views,
        [view for views in chosen.further_views for view in views],
    )
    if found is None:
        return PlannedProbe(suite, probe.name, reason="no cost estimate for this kind of backend")
    return PlannedProbe(
        suite,
        probe.name,
        tokens=found.tokens,
        seconds=found.seconds,
        memory=found.memory,
        most_tokens=found.most_tokens,
        most_seconds=found.most_seconds,
        requests=found.requests,
        most_requests=found.most_requests,
    )
