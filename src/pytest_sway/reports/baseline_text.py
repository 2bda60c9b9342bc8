"""What changed against an earlier result, in sentences; for every surface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pytest_sway.result import (
    BaselineComparison,
    PairedItems,
    ProbeComparison,
    ProbeFigures,
    Score,
    SuiteResult,
    Verdict,
)
from pytest_sway.suites.changes import Regression, is_drop
from pytest_sway.text import formatting
from pytest_sway.text.paths import tail
from pytest_sway.text.width import clean, pad, shorten, width

Line = tuple[str, dict[str, bool]]
"""A line for a terminal, and its markup."""

_ITEM = 40
_VISIBLE = 0.005
"""Of a score's change: what two decimals can show."""
_LONGEST_NAME = 24
_RANK = [Verdict.PASS, Verdict.WARN, Verdict.SKIP, Verdict.FAIL, Verdict.ERROR]
"""From good to bad, for colours alone."""


def regression_reason(regression: Regression, threshold: float, then: SuiteResult, now: SuiteResult) -> str:
    """One line for the gate: what became worse, by how much, what to look at."""
    if regression.probe is None:
        drop = _drop(then.score.overall, now.score.overall, threshold)
        return "; ".join([f"composite {drop}", *_category(then, now), *_factors(then.score, now.score)])
    change = regression.probe
    assert change.then is not None  # a regression is one from something measured
    was = f"(before: {change.then.verdict}, score {formatting.score(change.then.score)})"
    if change.now is None:
        if kinds := [probe.kind for probe in now.probes if probe.name == regression.name]:
            return f"{regression.name}: its kind changed from {change.then.kind} to {kinds[0]}"
        return (
            f"{regression.name}: the probe is not in this run {was}. "
            "Add the probe again, or write a new baseline"
        )
    if regression.what in ("vanished", "error"):
        word = "no longer measured" if regression.what == "vanished" else "ended in an error"
        return f"{regression.name}: {word} {was}: {change.now.message}"
    turned = f"turned from {change.then.verdict} to fail, " if regression.what == "fail" else ""
    drop = _drop(change.then.score, change.now.score, threshold)
    return f"{regression.name}: {turned}score {drop}; {_items_reason(change.items)}"


def baseline_lines(baseline: BaselineComparison, verbosity: int = 0) -> Iterator[Line]:
    """A suite against its baseline, for a terminal of 80 columns; quiet below a verbosity of 0.

    The gate's reasons list regressions, and below a verbosity of 0 only the notes stand beside them; where
    nothing is gated (a partial run) they are listed here.
    """
    if verbosity < 0:
        if baseline.regressions:
            yield from _notes(baseline)
        return
    composite, probes = baseline.composite, baseline.probes
    yield f"  against {clean(_title(baseline))}", {"bold": True}
    if composite.delta is not None:
        change = f" ({formatting.change(composite.delta)})" if composite.delta else ""
        yield f"    composite {_arrow(composite.then, composite.now, formatting.score)}{change}", {}
    both = [_ProbeInBoth(probe, probe.then, probe.now) for probe in probes if probe.then and probe.now]
    moved = [pair for pair in both if verbosity > 0 or pair.differs]
    yield from _table(moved)
    steady = [pair.probe.name for pair in both if pair not in moved]
    yield from _names("as it was" if moved or len(both) < len(probes) else "all as it was", steady)
    yield from _only_in_one(probes)
    yield from _notes(baseline)
    if not baseline.gated:
        for regression in baseline.regressions:
            yield f"    not gated: {clean(regression.text)}", {"yellow": True}


def items_sentence(items: PairedItems) -> str:
    """The mean change of the items that both results have, its interval, and what it is a change of."""
    interval = "" if items.ci_95 is None else f", 95 % {formatting.interval(items.ci_95)}"
    other = "" if items.of_raw else " (raw is not their mean)"
    which = f"mean change of {items.n} item{'s' * (items.n > 1)}{other}"
    which += f" in both results (items in only one result: {items.unpaired})" if items.unpaired else ""
    return f"{which} {formatting.change(items.mean_delta, formatting.raw)}{interval}"


def _notes(baseline: BaselineComparison) -> Iterator[Line]:
    for note in baseline.notes:
        yield f"    note: {clean(note)}", {}


def _only_in_one(probes: Sequence[ProbeComparison]) -> Iterator[Line]:
    """What only one of the two has; a name that both have is one probe to a reader, of another kind."""
    new = {probe.name: probe.kind for probe in probes if not probe.then}
    gone = {probe.name: probe.kind for probe in probes if not probe.now}
    both = [f"{name} ({kind}, was {gone[name]})" for name, kind in new.items() if name in gone]
    yield from _names("of another kind", both)
    yield from _names("new", [name for name in new if name not in gone])
    yield from _names("not in this run", [name for name in gone if name not in new])


def _names(label: str, names: Sequence[str]) -> Iterator[Line]:
    if names:
        yield f"    {label}: {', '.join(map(clean, names))}", {}


@dataclass(frozen=True)
class _ProbeInBoth:
    """A probe that both results have."""

    probe: ProbeComparison
    then: ProbeFigures
    now: ProbeFigures

    @property
    def differs(self) -> bool:
        """Whether a reader can see a difference in its row."""
        return _visible_figures(self.then) != _visible_figures(self.now)

    @property
    def verdict(self) -> str:
        same = self.then.verdict == self.now.verdict
        return self.now.verdict.value if same else f"{self.then.verdict} → {self.now.verdict}"

    @property
    def colour(self) -> dict[str, bool]:
        """By the verdict first, then by the score."""
        worse = _RANK.index(self.now.verdict) - _RANK.index(self.then.verdict)
        change = worse or -(self.probe.score_delta or 0.0)
        return {"red" if change > 0 else "green": True} if abs(change) >= _VISIBLE else {}


def _visible_figures(figures: ProbeFigures) -> tuple[Verdict, str, str]:
    return figures.verdict, formatting.score(figures.score), formatting.raw(figures.raw)


def _table(pairs: Sequence[_ProbeInBoth]) -> Iterator[Line]:
    """Two lines for a probe, names and verdicts below each other."""
    names = [clean(pair.probe.name) for pair in pairs]
    longest = min(_LONGEST_NAME, max(map(width, names), default=0))
    widest = max((width(pair.verdict) for pair in pairs), default=0)
    for pair, name in zip(pairs, names, strict=True):
        yield from _row(pair, f"{pad(name, longest)}  {pad(pair.verdict, widest)}")


def _row(pair: _ProbeInBoth, lead: str) -> Iterator[Line]:
    """The verdict and the score; below them the number behind it."""
    then, now, probe = pair.then, pair.now, pair.probe
    delta = f" ({formatting.change(probe.score_delta)})" if probe.score_delta else ""
    yield f"    {lead}  score {_arrow(then.score, now.score, formatting.score)}{delta}", pair.colour
    parts = []
    if then.raw is not None or now.raw is not None:
        parts.append(f"raw {_arrow(then.raw, now.raw, formatting.raw)}")
    if probe.items is not None:
        parts.append(items_sentence(probe.items))
    if parts:
        yield f"      {'; '.join(parts)}", {"light": True}


def _arrow(then: float | None, now: float | None, write: Callable[[float | None], str]) -> str:
    return f"{write(then)} → {write(now)}"


def _drop(then: float | None, now: float | None, threshold: float) -> str:
    text = f"{formatting.score(then)} → {formatting.score(now)}"
    if then is None or now is None or now >= then:
        return text
    failed = f" (a drop of {threshold:g} fails)" if is_drop(now - then, threshold) else ""
    return f"{text}, {formatting.score(then - now)} lower{failed}"


def _items_reason(items: PairedItems | None) -> str:
    """Whether the items changed more than they scatter, so that a reader knows change from noise."""
    if items is None:
        return "the two results have no items in common, so items cannot be compared"
    text = items_sentence(items)
    if items.ci_95 is not None:
        scatter = "more than chance" if items.beyond_scatter else "perhaps chance"
        text += f": {scatter}"
    return f"{text}; {_most_changed(items)}"


def _most_changed(items: PairedItems) -> str:
    most = items.most
    assert most is not None  # of a comparison that was made now
    return f"largest change: {shorten(most.item, _ITEM)!r} {_arrow(most.then, most.now, formatting.raw)}"


def _category(then: SuiteResult, now: SuiteResult) -> Iterator[str]:
    """The category that lost most of what both have."""
    before, after = then.score.components, now.score.components
    lost = {name: before[name] - after[name] for name in after if name in before}
    name = max(lost, key=lambda category: lost[category], default=None)
    if name is not None and lost[name] > 0:
        drop = f"{formatting.score(before[name])} → {formatting.score(after[name])}"
        yield f"largest drop in category {name}: {drop}"


def _factors(then: Score, now: Score) -> Iterator[str]:
    """What the mean of the categories is multiplied by, where that became less."""
    for name, before, after in (
        ("effect", then.effect_factor, now.effect_factor),
        ("no-harm", then.harm_factor, now.harm_factor),
    ):
        if before - after >= _VISIBLE:
            yield f"{name} factor {formatting.score(after)}, was {formatting.score(before)}"


def _title(baseline: BaselineComparison) -> str:
    adapter = tail(baseline.adapter_id)
    known = ", ".join(filter(None, [adapter, baseline.finished_at[:10]]))
    return f"{baseline.path} ({known})"
