"""What changed against an earlier result, in words; for every surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_sway.reports import numbers
from pytest_sway.reports.labels import tail
from pytest_sway.reports.layout import padded, short, width
from pytest_sway.result import SuiteResult, Verdict
from pytest_sway.statistics.change import ItemsChange, Regression

Line = tuple[str, dict[str, bool]]
"""A line for a terminal, and its markup."""

_ITEM = 40
_VISIBLE = 0.005
"""Of a score's change: what two decimals can show."""
_LONGEST_NAME = 24
_RANK = [Verdict.PASS, Verdict.WARN, Verdict.SKIP, Verdict.FAIL, Verdict.ERROR]
"""From good to bad, for colours alone."""


def reason(found: Regression, threshold: float, then: SuiteResult, now: SuiteResult) -> str:
    """One line for the gate: what became worse, by how much, what to look at."""
    if found.probe is None:
        return f"composite {_drop(then.score.overall, now.score.overall, threshold)}{_category(then, now)}"
    change = found.probe
    assert change.then is not None  # a regression is one from something measured
    was = f"was {change.then.verdict} with score {numbers.score(change.then.score)}"
    if change.now is None:
        return f"{found.name}: not in this run, {was}: bring it back, or write a new baseline"
    if found.what in ("vanished", "error"):
        word = "no longer measured" if found.what == "vanished" else "ended in an error"
        return f"{found.name}: {word}, {was}: {change.now.message}"
    turned = f"turned from {change.then.verdict} to fail, " if found.what == "fail" else ""
    drop = _drop(change.then.score, change.now.score, threshold)
    return f"{found.name}: {turned}score {drop}; {_behind(change.items)}"


def rows(baseline: Mapping[str, Any], verbosity: int = 0) -> Iterator[Line]:
    """A suite against its baseline, for a terminal of 80 columns; quiet below a verbosity of 0.

    The gate's reasons tell regressions, and below a verbosity of 0 only the notes stand beside them; where
    nothing is gated (a partial run) they are told here.
    """
    if verbosity < 0:
        yield from _notes(baseline if baseline["regressions"] else {"notes": []})
        return
    composite, probes = baseline["composite"], baseline["probes"]
    yield f"  against {_whose(baseline)}", {"bold": True}
    if composite["delta"] is not None:
        change = f" ({numbers.change(composite['delta'])})" if composite["delta"] else ""
        yield f"    composite {_arrow(composite, numbers.score)}{change}", {}
    both = [probe for probe in probes if probe["then"] and probe["now"]]
    moved = [probe for probe in both if verbosity > 0 or _moved(probe)]
    yield from _table(moved)
    steady = [probe["name"] for probe in both if probe not in moved]
    for label, names in (
        ("as it was" if moved or len(both) < len(probes) else "all as it was", steady),
        ("new", [probe["name"] for probe in probes if not probe["then"]]),
        ("not in this run", [probe["name"] for probe in probes if not probe["now"]]),
    ):
        if names:
            yield f"    {label}: {', '.join(names)}", {}
    yield from _notes(baseline)
    if not baseline["gated"]:
        for found in baseline["regressions"]:
            yield f"    not gated: {found['text']}", {"yellow": True}


def of_items(items: Mapping[str, Any]) -> str:
    """The mean change of the items that both results have, its interval, and what it is a change of."""
    interval = "" if items["ci_95"] is None else f", 95 % {numbers.interval(items['ci_95'])}"
    n, alone = items["n"], items["unpaired"]
    which = f"{'' if items['of_raw'] else 'own '}mean of {n} item{'s' * (n > 1)}"
    which += f" in both ({alone} in one only)" if alone else ""
    return f"{which} {numbers.change(items['mean_delta'], numbers.raw)}{interval}"


def _notes(baseline: Mapping[str, Any]) -> Iterator[Line]:
    for note in baseline["notes"]:
        yield f"    note: {note}", {}


def _table(moved: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """Two lines for a probe, names and verdicts below each other."""
    verdicts = [_verdict(probe) for probe in moved]
    names = min(_LONGEST_NAME, max((width(probe["name"]) for probe in moved), default=0))
    widest = max(map(width, verdicts), default=0)
    for probe, verdict in zip(moved, verdicts, strict=True):
        yield from _row(probe, f"{padded(probe['name'], names)}  {padded(verdict, widest)}")


def _verdict(probe: Mapping[str, Any]) -> str:
    then, now = probe["then"]["verdict"], probe["now"]["verdict"]
    return str(now) if then == now else f"{then} → {now}"


def _row(probe: Mapping[str, Any], lead: str) -> Iterator[Line]:
    """The verdict and the score; below them the number behind it."""
    then, now = probe["then"], probe["now"]
    delta = f" ({numbers.change(probe['score_delta'])})" if probe["score_delta"] else ""
    score = _arrow(probe, numbers.score, "score")
    yield f"    {lead}  score {score}{delta}", _colour(probe)
    parts = []
    if then["raw"] is not None or now["raw"] is not None:
        parts.append(f"raw {_arrow(probe, numbers.raw, 'raw')}")
    if probe["items"] is not None:
        parts.append(of_items(probe["items"]))
    if parts:
        yield f"      {'; '.join(parts)}", {"light": True}


def _moved(probe: Mapping[str, Any]) -> bool:
    """Whether a reader can see a difference in its row."""
    then, now = probe["then"], probe["now"]
    shown = [(one["verdict"], numbers.score(one["score"]), numbers.raw(one["raw"])) for one in (then, now)]
    return shown[0] != shown[1]


def _colour(probe: Mapping[str, Any]) -> dict[str, bool]:
    """By the verdict first, then by the score."""
    then, now = (_RANK.index(probe[when]["verdict"]) for when in ("then", "now"))
    worse = (now - then) or -(probe["score_delta"] or 0.0)
    return {"red" if worse > 0 else "green": True} if abs(worse) >= _VISIBLE else {}


def _arrow(pair: Mapping[str, Any], write: Any, key: str = "") -> str:
    then, now = (write(pair[when][key] if key else pair[when]) for when in ("then", "now"))
    return f"{then} → {now}"


def _drop(then: float | None, now: float | None, threshold: float) -> str:
    text = f"{numbers.score(then)} → {numbers.score(now)}"
    if then is None or now is None or now >= then:
        return text
    return f"{text}, {numbers.score(then - now)} lower ({threshold:g} fails)"


def _behind(items: ItemsChange | None) -> str:
    """Whether the items changed more than they scatter, so that a reader knows change from noise."""
    if items is None:
        return "no item is in both results, so none can be paired"
    wire = items.to_wire()
    scatter = "more than they scatter" if items.beyond_scatter else "within their scatter: perhaps noise"
    return f"{of_items(wire)}{f': {scatter}' if items.ci_95 is not None else ''}; {_most(wire)}"


def _most(items: Mapping[str, Any]) -> str:
    most = items["most"]
    return f"most: {short(most['item'], _ITEM)!r} {numbers.raw(most['then'])} → {numbers.raw(most['now'])}"


def _category(then: SuiteResult, now: SuiteResult) -> str:
    """The category that lost most of what both have."""
    before, after = then.score.components, now.score.components
    lost = {name: before[name] - after[name] for name in after if name in before}
    name = max(lost, key=lambda category: lost[category], default=None)
    if name is None or lost[name] <= 0:
        return ""
    return f"; most in {name}: {numbers.score(before[name])} → {numbers.score(after[name])}"


def _whose(baseline: Mapping[str, Any]) -> str:
    adapter = tail(baseline["adapter_id"])
    known = ", ".join(filter(None, [adapter, baseline["finished_at"][:10]]))
    return f"{baseline['path']} ({known})"
