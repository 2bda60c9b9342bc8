"""From a plan and the reports that came in to one result per suite."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pytest_sway import __version__
from pytest_sway.result import (
    Claim,
    Digests,
    NullComparison,
    NullStatistics,
    ProbeResult,
    RankComparison,
    RunDeterminism,
    Score,
    SuiteResult,
    Verdict,
)
from pytest_sway.session.plan import LeftOutAdapter, Plan
from pytest_sway.suites.composite import composite
from pytest_sway.suites.gate import GateCriteria, judge_gate, without_adapter
from pytest_sway.suites.json_conversion import from_json
from pytest_sway.suites.null_summary import null_summary

_INERT = "the adapter is inert: its update is zero in every module, so nothing can have been learned"

_STOPPED = "the run was stopped before its end; what was answered is kept, and the next run asks for the rest"
_WORST = (Verdict.ERROR, Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.SKIP)


@dataclass
class SuiteReports:
    """What reports brought in for one suite.

    A rerun replaces what came before. Where every worker runs every item (``--dist each``), the worst of
    them counts.
    """

    by_worker: dict[str, dict[str, ProbeResult]] = field(default_factory=dict)
    bench: dict[str, Any] = field(default_factory=dict)
    skipped_outside: set[str] = field(default_factory=set)
    started: float = float("inf")
    finished: float = 0.0

    @property
    def results(self) -> dict[str, ProbeResult]:
        """Each probe's result."""
        found: dict[str, ProbeResult] = {}
        for results in self.by_worker.values():
            for name, result in results.items():
                if name not in found or _WORST.index(result.verdict) < _WORST.index(found[name].verdict):
                    found[name] = result
        return found

    def take(self, wire: Mapping[str, Any], start: float, stop: float, worker: str = "") -> None:
        """Take one report in; ``worker``: who ran it, where several run the same."""
        result = from_json(ProbeResult, wire["result"])
        self.by_worker.setdefault(worker, {})[result.name] = result
        self.skipped_outside.discard(result.name)
        if wire.get("skipped_outside"):
            self.skipped_outside.add(result.name)
        self.bench = wire["bench"] or self.bench
        self.started, self.finished = min(self.started, start), max(self.finished, stop)


@dataclass(frozen=True)
class ReportOptions:
    """What the command line says about every suite; None leaves it to the spec.

    Attributes:
        threshold, weights: instead of the spec's.
        limit: the most items of a probe that were looked at.
        strict: whether a warning fails the gate.
        stopped: whether the run was stopped before its end, by Ctrl-C.
    """

    threshold: float | None = None
    weights: Mapping[str, float] | None = None
    limit: int | None = None
    strict: bool = False
    stopped: bool = False


def compose(
    plan: Plan,
    intakes: Mapping[str, SuiteReports],
    options: ReportOptions,
    left_out: Collection[LeftOutAdapter] = (),
) -> list[SuiteResult]:
    """One result per suite that had a probe selected, in the plan's order; then the adapters left out."""
    results = {
        suite["id"]: _suite(suite, intakes.get(suite["id"], SuiteReports()), options)
        for suite in plan.values()
        if suite["selected"]
    }
    absent = [_not_evaluated(adapter, plan, results, options) for adapter in left_out]
    return [*results.values(), *filter(None, absent)]


def _not_evaluated(
    adapter: LeftOutAdapter, plan: Plan, results: Mapping[str, SuiteResult], options: ReportOptions
) -> SuiteResult | None:
    """A result without a probe, whose gate fails; None where nothing of its fleet was selected.

    Where a part of the fleet was selected, it is named and not gated, as the rest of the fleet.
    """
    fleet = [suite for suite in plan.values() if suite["origin"] == adapter.origin]
    ran = [results[suite["id"]] for suite in fleet if suite["id"] in results]
    if not ran:
        return None
    whole = len(ran) == len(fleet) and not any(result.gate.is_partial for result in ran)
    gate = without_adapter(adapter.reason, ran[0].gate.threshold, whole=whole)
    weights = {**fleet[0]["weights"], **(options.weights or {})}
    return SuiteResult(
        suite=adapter.suite,
        spec_path=fleet[0]["spec"],
        base_model_id=fleet[0]["base"],
        adapter_id=adapter.folder,
        score=Score(0.0, weights=weights),
        gate=gate,
        not_evaluated=adapter.reason,
        sway_version=__version__,
    )


def _suite(suite: dict[str, Any], intake: SuiteReports, options: ReportOptions) -> SuiteResult:
    reported = intake.results
    lost = suite.get("crashed", ()) if any(intake.by_worker) else ()
    results = tuple(reported[name] for name in suite["probes"] if name in reported and name not in lost)
    weights = {**suite["weights"], **(options.weights or {})}
    score = composite(results, weights)
    threshold = suite["threshold"] if options.threshold is None else options.threshold
    selected = [name for name in suite["selected"] if name not in intake.skipped_outside]
    criteria = GateCriteria(threshold, options.strict, options.limit)
    gate = judge_gate(results, suite["probes"], selected, score, criteria, suite.get("crashed", ()))
    null_stats = _null_stats(results)
    if intake.bench.get("inert"):
        score.findings.insert(0, _INERT)
    return SuiteResult(
        suite=suite["id"],
        spec_path=suite["spec"],
        base_model_id=suite["base"],
        adapter_id=suite["adapter"],
        probes=results,
        score=score,
        started_at=_stamp(intake.started),
        finished_at=_stamp(intake.finished),
        wall_seconds=max(0.0, intake.finished - intake.started),
        determinism=_determinism(intake.bench.get("determinism"), suite["seed"]),
        backend_stats=intake.bench.get("stats", {}),
        null_stats=null_stats.get("rank_1.00", {}),
        null_stats_by_rank=null_stats,
        null_summary=null_summary(results, criteria, weights),
        gate=gate,
        notes=tuple(_notes(suite, intake, options)),
        warnings=tuple(intake.bench.get("warnings", ())),
        digests=Digests(intake.bench.get("base", ""), intake.bench.get("adapter", "")),
        sway_version=__version__,
    )


def _notes(suite: dict[str, Any], intake: SuiteReports, options: ReportOptions) -> Iterator[str]:
    if options.stopped:
        yield _STOPPED
    yield from suite["notes"]
    if not intake.bench.get("inert"):  # the first finding says it
        yield from intake.bench.get("notes", [])


def _null_stats(results: tuple[ProbeResult, ...]) -> dict[str, dict[str, NullStatistics]]:
    """Schema 1's statistics by rank and kind, of ``raw``: those of the kind's first calibrated probe.

    What a shape compares with its nulls is its signal, which is not its ``raw``.
    """
    ranks: dict[str, dict[str, NullStatistics]] = {}
    for result in results:
        null = result.null
        if null is None or result.claim is Claim.SHAPE or result.verdict is Verdict.ERROR:
            continue
        by_rank: dict[str, NullComparison | RankComparison] = {"rank_1.00": null, **null.by_rank}
        for rank, compared in by_rank.items():
            ranks.setdefault(rank, {}).setdefault(result.kind, _statistics(compared))
    return ranks


def _statistics(null: NullComparison | RankComparison) -> NullStatistics:
    return NullStatistics(mean=null.mean, std=null.std, n=null.n, degenerate=1.0 if null.z is None else 0.0)


def _determinism(found: list[str] | None, seed: int) -> RunDeterminism | None:
    return None if found is None else RunDeterminism(found[0], seed, tuple(found[1:]))


def _stamp(seconds: float) -> str:
    """ISO 8601 with offset; empty where nothing was reported."""
    if seconds in (0.0, float("inf")):
        return ""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
