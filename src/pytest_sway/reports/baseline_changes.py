"""What changed against an earlier result, in words; for every surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_sway.result import Score, SuiteResult, Verdict
from pytest_sway.suites.changes import ItemsChange, Regression, dropped
from pytest_sway.text import formatting
from pytest_sway.text.paths import tail
from pytest_sway.text.width import clean, padded, short, width

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
        drop = _drop(then.score.overall, now.score.overall, threshold)
        return "; ".join([f"composite {drop}", *_category(then, now), *_factors(then.score, now.score)])
    change = found.probe
    assert change.then is not None  # a regression is one from something measured
    was = f"was {change.then.verdict} with score {formatting.score(change.then.score)}"
    if change.now is None:
        if kinds := [probe.kind for probe in now.probes if probe.name == found.name]:
            return f"{found.name}: is now of kind {kinds[0]}, was {change.then.kind}"
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
    yield f"  against {clean(_whose(baseline))}", {"bold": True}
    if composite["delta"] is not None:
        change = f" ({formatting.change(composite['delta'])})" if composite["delta"] else ""
        yield f"    composite {_arrow(composite, formatting.score)}{change}", {}
    both = [probe for probe in probes if probe["then"] and probe["now"]]
    moved = [probe for probe in both if verbosity > 0 or _moved(probe)]
    yield from _table(moved)
    steady = [probe["name"] for probe in both if probe not in moved]
    yield from _names("as it was" if moved or len(both) < len(probes) else "all as it was", steady)
    yield from _others(probes)
    yield from _notes(baseline)
    if not baseline["gated"]:
        for found in baseline["regressions"]:
            yield f"    not gated: {clean(found['text'])}", {"yellow": True}


def of_items(items: Mapping[str, Any]) -> str:
    """The mean change of the items that both results have, its interval, and what it is a change of."""
    interval = "" if items["ci_95"] is None else f", 95 % {formatting.interval(items['ci_95'])}"
    n, alone = items["n"], items["unpaired"]
    which = f"{'' if items['of_raw'] else 'own '}mean of {n} item{'s' * (n > 1)}"
    which += f" in both ({alone} in one only)" if alone else ""
    return f"{which} {formatting.change(items['mean_delta'], formatting.raw)}{interval}"


def _notes(baseline: Mapping[str, Any]) -> Iterator[Line]:
    for note in baseline["notes"]:
        yield f"    note: {clean(note)}", {}


def _others(probes: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """What only one of the two has; a name that both have is one probe to a reader, of another kind."""
    new = {probe["name"]: probe["kind"] for probe in probes if not probe["then"]}
    gone = {probe["name"]: probe["kind"] for probe in probes if not probe["now"]}
    both = [f"{name} ({kind}, was {gone[name]})" for name, kind in new.items() if name in gone]
    yield from _names("of another kind", both)
    yield from _names("new", [name for name in new if name not in gone])
    yield from _names("not in this run", [name for name in gone if name not in new])


def _names(label: str, names: Sequence[str]) -> Iterator[Line]:
    if names:
        yield f"    {label}: {', '.join(map(clean, names))}", {}


def _table(moved: Sequence[Mapping[str, Any]]) -> Iterator[Line]:
    """Two lines for a probe, names and verdicts below each other."""
    verdicts = [_verdict(probe) for probe in moved]
    names = [clean(probe["name"]) for probe in moved]
    longest = min(_LONGEST_NAME, max(map(width, names), default=0))
    widest = max(map(width, verdicts), default=0)
    for probe, name, verdict in zip(moved, names, verdicts, strict=True):
        yield from _row(probe, f"{padded(name, longest)}  {padded(verdict, widest)}")


def _verdict(probe: Mapping[str, Any]) -> str:
    then, now = probe["then"]["verdict"], probe["now"]["verdict"]
    return str(now) if then == now else f"{then} → {now}"


def _row(probe: Mapping[str, Any], lead: str) -> Iterator[Line]:
    """The verdict and the score; below them the number behind it."""
    then, now = probe["then"], probe["now"]
    delta = f" ({formatting.change(probe['score_delta'])})" if probe["score_delta"] else ""
    score = _arrow(probe, formatting.score, "score")
    yield f"    {lead}  score {score}{delta}", _colour(probe)
    parts = []
    if then["raw"] is not None or now["raw"] is not None:
        parts.append(f"raw {_arrow(probe, formatting.raw, 'raw')}")
    if probe["items"] is not None:
        parts.append(of_items(probe["items"]))
    if parts:
        yield f"      {'; '.join(parts)}", {"light": True}


def _moved(probe: Mapping[str, Any]) -> bool:
    """Whether a reader can see a difference in its row."""
    then, now = probe["then"], probe["now"]
    shown = [
        (one["verdict"], formatting.score(one["score"]), formatting.raw(one["raw"])) for one in (then, now)
    ]
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
    text = f"{formatting.score(then)} → {formatting.score(now)}"
    if then is None or now is None or now >= then:
        return text
    failed = f" ({threshold:g} fails)" if dropped(now - then, threshold) else ""
    return f"{text}, {formatting.score(then - now)} lower{failed}"


def _behind(items: ItemsChange | None) -> str:
    """Whether the items changed more than they scatter, so that a reader knows change from noise."""
    if items is None:
        return "no item is in both results, so none can be paired"
    wire = items.to_wire()
    scatter = "more than they scatter" if items.beyond_scatter else "within their scatter: perhaps noise"
    return f"{of_items(wire)}{f': {scatter}' if items.ci_95 is not None else ''}; {_most(wire)}"


def _most(items: Mapping[str, Any]) -> str:
    most = items["most"]
    return (
        f"most: {short(most['item'], _ITEM)!r} {formatting.raw(most['then'])} → {formatting.raw(most['now'])}"
    )


def _category(then: SuiteResult, now: SuiteResult) -> Iterator[str]:
    """The category that lost most of what both have."""
    before, after = then.score.components, now.score.components
    lost = {name: before[name] - after[name] for name in after if name in before}
    name = max(lost, key=lambda category: lost[category], default=None)
    if name is not None and lost[name] > 0:
        yield f"most in {name}: {formatting.score(before[name])} → {formatting.score(after[name])}"


def _factors(then: Score, now: Score) -> Iterator[str]:
    """What the mean of the categories is multiplied by, where that became less."""
    for name, before, after in (
        ("effect", then.effect_factor, now.effect_factor),
        ("harmlessness", then.harm_factor, now.harm_factor),
    ):
        if before - after >= _VISIBLE:
            yield f"{name} takes it times {formatting.score(after)}, was {formatting.score(before)}"


def _whose(baseline: Mapping[str, Any]) -> str:
    adapter = tail(baseline["adapter_id"])
    known = ", ".join(filter(None, [adapter, baseline["finished_at"][:10]]))
    return f"{baseline['path']} ({known})"
