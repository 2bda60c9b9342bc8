"""How long a suite will take, said at the start of a long one, and how much of it is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from pytest_sway.items.cost_estimate import planned_probe
from pytest_sway.items.item_key import ItemKey, item_key, suite_id
from pytest_sway.items.progress import TIME_LEFT, shows_text
from pytest_sway.items.run_probe import MeasurementContext
from pytest_sway.probes.base import ProbeContext
from pytest_sway.suites.cost_plan import PlannedProbe, total
from pytest_sway.text import formatting

LONG_S = 60.0
"""A suite that takes longer is announced."""
_TELLING_S = 5.0
"""Finished probes of this estimated length tell how far the estimate is off."""


class Forecast:
    """The estimated time of a suite, and what is left of it.

    Args:
        seconds: of each probe, by name.
        clock: in seconds.
    """

    def __init__(self, seconds: Mapping[str, float], clock: Callable[[], float] = time.perf_counter) -> None:
        self._ahead = dict(seconds)
        self._clock = clock
        self._began = clock()
        self._estimate = 0.0
        self._estimated = self._taken = 0.0

    @contextmanager
    def measuring(self, probe: str) -> Iterator[None]:
        """While a probe is being measured."""
        self._began, self._estimate = self._clock(), self._ahead.pop(probe, 0.0)
        try:
            yield
        finally:
            self._taken += self._clock() - self._began
            self._estimated += self._estimate
            self._estimate = 0.0

    def seconds_left(self) -> float:
        """Of this probe and those ahead; corrected by what the finished ones took."""
        known = self._estimated >= _TELLING_S
        factor = self._taken / self._estimated if known else 1.0
        here = max(0.0, self._estimate * factor - (self._clock() - self._began)) if self._estimate else 0.0
        return here + factor * sum(self._ahead.values())


FORECASTS = pytest.StashKey[dict[str, Forecast | None]]()
"""By suite; None where it is short."""


def forecast_of(
    request: pytest.FixtureRequest, context: ProbeContext, measured_with: MeasurementContext
) -> Forecast | None:
    """The forecast of an item's suite; a long one is announced when its first item is set up.

    None in a worker, where nothing is shown, and for a model so small that no suite is long.
    """
    config, item = request.config, request.node
    key = item_key(item)
    assert isinstance(key, ItemKey)  # the fixture sway_result has checked it
    suite = suite_id(item, key)
    forecasts = config.stash.setdefault(FORECASTS, {})
    if suite not in forecasts:
        forecasts[suite] = None
        if shows_text(config) and measured_with.engine.is_slow(measured_with.subject.tuned):
            planned = _planned(request.session, item, suite, context, measured_with)
            forecasts[suite] = Forecast({one.name: one.seconds for one in planned})
            _announce(config, total(planned))
    forecast = forecasts[suite]
    config.stash[TIME_LEFT] = forecast.seconds_left if forecast is not None else None
    return forecast


def _planned(
    session: pytest.Session,
    item: pytest.Item,
    suite: str,
    context: ProbeContext,
    measured_with: MeasurementContext,
) -> list[PlannedProbe]:
    """The selected items of the suite, from this one on."""
    ahead = session.items[session.items.index(item) :]
    keys = [key for one in ahead if (key := item_key(one)) is not None and suite_id(one, key) == suite]
    probes = [key.entry.probe.with_context(context) for key in keys if key.entry.needs_model]
    return [planned_probe(probe, measured_with, suite) for probe in probes]


def _announce(config: pytest.Config, all_probes: PlannedProbe) -> None:
    if all_probes.seconds < LONG_S:
        return
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    least, most = map(formatting.long_duration, (all_probes.seconds, all_probes.most_seconds))
    text = (
        f"sway: estimated time: about {least} for {all_probes.tokens:,} tokens (at most {most}; for details "
        "use --sway-plan)"
    )
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        reporter.ensure_newline()
        reporter.write_line(text)
