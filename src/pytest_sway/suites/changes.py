"""Two results of a suite, probe by probe: what changed, and what of it is a regression.

One definition for every surface: the gate of a run against its baseline, and the matrix of saved results.
Plain Python: the session's process imports neither numpy nor scipy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.result import (
    MEASURED_VERDICTS,
    Claim,
    ItemChange,
    PairedItems,
    ProbeComparison,
    ProbeFigures,
    ProbeResult,
    RegressionText,
    SuiteResult,
    Verdict,
)
from pytest_sway.statistics.paired_differences import paired_interval

_ROUNDING = 1e-9
"""0.9 - 0.8 is a drop of 0.1."""


@dataclass(frozen=True)
class ProbeChange:
    """A probe then and now; None where a result does not have it."""

    then: ProbeResult | None
    now: ProbeResult | None
    items: PairedItems | None = None

    @property
    def known(self) -> ProbeResult:
        """The newer of what there is."""
        newer = self.now or self.then
        assert newer is not None  # changes() makes none of nothing
        return newer

    @property
    def name(self) -> str:
        """The probe's name."""
        return self.known.name

    @property
    def score_delta(self) -> float | None:
        """Now - then; None where one has no score: nothing is not 0."""
        then, now = (None if one is None else one.score for one in (self.then, self.now))
        return None if then is None or now is None else now - then

    @property
    def comparison(self) -> ProbeComparison:
        """What a report needs of it."""
        return ProbeComparison(
            name=self.name,
            kind=self.known.kind,
            then=_figures(self.then),
            now=_figures(self.now),
            score_delta=self.score_delta,
            items=self.items,
        )


@dataclass(frozen=True)
class Regression:
    """Something that became worse.

    Attributes:
        what: ``vanished`` (measured then, absent or skipped now), ``error`` or ``fail`` (the verdict that it
            turned to), ``score`` (a drop alone), ``composite``.
        delta: of the score or the composite; None where there is none.
        probe: the probe's change; None for the composite.
    """

    what: str
    delta: float | None
    probe: ProbeChange | None = None

    @property
    def name(self) -> str:
        """The probe's name, or ``composite``."""
        return "composite" if self.probe is None else self.probe.name

    def with_text(self, text: str) -> RegressionText:
        """What a report needs of it."""
        probe = None if self.probe is None else self.probe.name
        return RegressionText(probe=probe, what=self.what, delta=self.delta, text=text)


def changes(then: SuiteResult, now: SuiteResult) -> list[ProbeChange]:
    """Every probe of ``now`` in its order, then those that only ``then`` has.

    A probe is the same where name and kind are: another kind under an old name measures something else.
    """
    before = {(probe.name, probe.kind): probe for probe in then.probes}
    after = {(probe.name, probe.kind) for probe in now.probes}
    found = [_change(before.get((probe.name, probe.kind)), probe) for probe in now.probes]
    return found + [ProbeChange(probe, None) for key, probe in before.items() if key not in after]


def composite_delta(then: SuiteResult, now: SuiteResult) -> float | None:
    """Now - then; None where one of them is of some of the suite's probes only."""
    partial = then.gate.is_partial or now.gate.is_partial
    return None if partial else now.score.overall - then.score.overall


def regressions(
    found: Sequence[ProbeChange], composite: float | None, threshold: float | None
) -> list[Regression]:
    """What became worse; nothing where there is no threshold, or one of 0.

    A probe that was measured and is now absent, skipped, an error or (from better) failed; a score that
    dropped by ``threshold`` or more; a composite that did. What was not measured then cannot become worse.

    Args:
        found: the probes' changes; of a partial run, without those that did not run.
        composite: its change; None where it cannot be compared.
        threshold: smallest drop that counts, in (0, 1].
    """
    if not threshold or threshold <= 0:
        return []
    worse = [one for change in found if (one := _regression(change, threshold)) is not None]
    if is_drop(composite, threshold):
        worse.append(Regression("composite", composite))
    return worse


def _regression(change: ProbeChange, threshold: float) -> Regression | None:
    then, now = change.then, change.now
    if then is None or then.verdict not in MEASURED_VERDICTS or then.claim is Claim.DESCRIPTION:
        return None
    delta = change.score_delta
    if now is None or now.verdict is Verdict.SKIP:
        return Regression("vanished", None, change)
    if now.verdict in (Verdict.ERROR, Verdict.FAIL) and now.verdict is not then.verdict:
        return Regression(now.verdict.value, delta, change)
    return Regression("score", delta, change) if is_drop(delta, threshold) else None


def is_drop(delta: float | None, threshold: float) -> bool:
    """Whether a change is a drop of that much or more."""
    return delta is not None and delta <= _ROUNDING - threshold


def _change(then: ProbeResult | None, now: ProbeResult) -> ProbeChange:
    return ProbeChange(then, now, None if then is None else _items(then, now))


def paired_deltas(then: ProbeResult, now: ProbeResult) -> list[float]:
    """Now - then of each item that both have, by its text; nothing where the numbers are beyond measure."""
    before, after = _values(then), _values(now)
    if max(map(abs, [0.0, *before.values(), *after.values()])) > _LARGEST:
        return []
    return [value - before[item] for item, value in after.items() if item in before]


def _items(then: ProbeResult, now: ProbeResult) -> PairedItems | None:
    """None where no item is in both, by its text."""
    before, after = _values(then), _values(now)
    shared = [item for item in after if item in before]
    if not shared:
        return None
    if not (deltas := paired_deltas(then, now)):
        return None
    most = max(range(len(shared)), key=lambda i: abs(deltas[i]))
    return PairedItems(
        n=len(shared),
        unpaired=len(before) + len(after) - 2 * len(shared),
        mean_delta=math.fsum(deltas) / len(deltas),
        ci_95=paired_interval(deltas),
        of_raw=_is_mean(then.raw, before) and _is_mean(now.raw, after),
        most=ItemChange(shared[most], before[shared[most]], after[shared[most]]),
    )


_LARGEST = 1e150
"""Larger numbers measure nothing, and their squares are no doubles."""


def _values(probe: ProbeResult) -> dict[str, float]:
    """Each item's number, where it has one."""
    return {
        sample.item: float(sample.value)
        for sample in probe.samples
        if sample.value is not None and math.isfinite(sample.value)
    }


def _is_mean(raw: float | None, values: dict[str, float]) -> bool:
    mean = math.fsum(values.values()) / len(values)
    return raw is not None and math.isclose(raw, mean, rel_tol=1e-6, abs_tol=1e-9)


def _figures(probe: ProbeResult | None) -> ProbeFigures | None:
    return None if probe is None else ProbeFigures(probe.verdict, probe.score, probe.raw)
