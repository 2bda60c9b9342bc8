"""From the plan and the reports of the items to one result per suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

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
from pytest_sway.session.item_report import ContextReport, ItemReport
from pytest_sway.session.plan import LeftOutAdapter, SessionPlan, SuitePlan
from pytest_sway.suites.composite import composite
from pytest_sway.suites.gate import GateCriteria, judge_gate, without_adapter
from pytest_sway.suites.null_summary import null_summary
from pytest_sway.version import __version__

_INERT = "the adapter is inert: its update is zero in every module, so it has learned nothing"

_STOPPED = "the run was stopped early; the model's answers are cached, so the next run continues from there"
_WORST = (Verdict.ERROR, Verdict.FAIL, Verdict.WARN, Verdict.PASS, Verdict.SKIP)


@dataclass
class SuiteReports:
    """The reports of one suite's items.

    A rerun replaces what came before. Where every worker runs every item (``--dist each``), the worst of
    them counts.
    """

    by_worker: dict[str, dict[str, ProbeResult]] = field(default_factory=dict)
    context: ContextReport = field(default_factory=ContextReport)
    skipped_outside: set[str] = field(default_factory=set)
    started: float = float("inf")
    finished: float = 0.0

    @property
    def results(self) -> dict[str, ProbeResult]:
        """Each probe's result, by name."""
        found: dict[str, ProbeResult] = {}
        for results in self.by_worker.values():
            for name, result in results.items():
                if name not in found or _WORST.index(result.verdict) < _WORST.index(found[name].verdict):
                    found[name] = result
        return found

    def add(self, report: ItemReport, start: float, stop: float, worker: str = "") -> None:
        """Add one item's report; ``worker``: who ran it, where several run the same."""
        result = report.result
        self.by_worker.setdefault(worker, {})[result.name] = result
        self.skipped_outside.discard(result.name)
        if report.skipped_outside:
            self.skipped_outside.add(result.name)
        self.context = report.context or self.context
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

    @classmethod
    def of(cls, config: pytest.Config, *, stopped: bool = False) -> ReportOptions:
        """As the command line says."""
        return cls(
            threshold=config.getoption("sway_threshold"),
            weights=config.getoption("sway_weights"),
            limit=config.getoption("sway_limit"),
            strict=config.getoption("sway_strict"),
            stopped=stopped,
        )


def compose(
    plan: SessionPlan, reports: Mapping[str, SuiteReports], options: ReportOptions
) -> list[SuiteResult]:
    """One result per suite that had a probe selected, in the plan's order; then the adapters left out."""
    selected, crashed = plan.selected_probes, plan.crashed_probes
    results = {
        name: _suite(suite, selected[name], crashed.get(name, []), reports.get(name, SuiteReports()), options)
        for name, suite in plan.suites.items()
        if name in selected
    }
    absent = [_not_evaluated(adapter, plan, results, options) for adapter in plan.left_out.values()]
    return [*results.values(), *filter(None, absent)]


def _not_evaluated(
    adapter: LeftOutAdapter, plan: SessionPlan, results: Mapping[str, SuiteResult], options: ReportOptions
) -> SuiteResult | None:
    """A result without a probe, whose gate fails; None where nothing of its fleet was selected.

    Where a part of the fleet was selected, it is named and not gated, as the rest of the fleet.
    """
    fleet = [suite for suite in plan.suites.values() if suite.origin == adapter.origin]
    ran = [results[suite.id] for suite in fleet if suite.id in results]
    if not ran:
        return None
    whole = len(ran) == len(fleet) and not any(result.gate.is_partial for result in ran)
    gate = without_adapter(adapter.reason, ran[0].gate.threshold, whole=whole)
    weights = {**fleet[0].weights, **(options.weights or {})}
    return SuiteResult(
        suite=adapter.suite,
        spec_path=fleet[0].spec,
        base_model_id=fleet[0].base,
        adapter_id=adapter.folder,
        score=Score(0.0, weights=weights),
        gate=gate,
        not_evaluated=adapter.reason,
        sway_version=__version__,
    )


def _suite(
    suite: SuitePlan,
    selected: Sequence[str],
    crashed: Sequence[str],
    reports: SuiteReports,
    options: ReportOptions,
) -> SuiteResult:
    reported, context = reports.results, reports.context
    lost = crashed if any(reports.by_worker) else ()
    results = tuple(reported[name] for name in suite.probes if name in reported and name not in lost)
    weights = {**suite.weights, **(options.weights or {})}
    score = composite(results, weights)
    threshold = suite.threshold if options.threshold is None else options.threshold
    to_run = [name for name in selected if name not in reports.skipped_outside]
    criteria = GateCriteria(threshold, options.strict, options.limit)
    gate = judge_gate(results, suite.probes, to_run, score, criteria, crashed)
    null_stats = _null_stats(results)
    if context.inert:
        score.findings.insert(0, _INERT)
    return SuiteResult(
        suite=suite.id,
        spec_path=suite.spec,
        base_model_id=suite.base,
        adapter_id=suite.adapter,
        probes=results,
        score=score,
        started_at=_stamp(reports.started),
        finished_at=_stamp(reports.finished),
        wall_seconds=max(0.0, reports.finished - reports.started),
        determinism=_determinism(context, suite.seed),
        backend_stats=dict(context.backend_stats),
        null_stats=null_stats.get("rank_1.00", {}),
        null_stats_by_rank=null_stats,
        null_summary=null_summary(results, criteria, weights),
        gate=gate,
        notes=tuple(_notes(suite, context, options)),
        warnings=context.warnings,
        digests=Digests(context.base_digest, context.adapter_digest),
        sway_version=__version__,
    )


def _notes(suite: SuitePlan, context: ContextReport, options: ReportOptions) -> Iterator[str]:
    if options.stopped:
        yield _STOPPED
    yield from suite.notes
    if not context.inert:  # the first finding says it
        yield from context.notes


def _null_stats(results: tuple[ProbeResult, ...]) -> dict[str, dict[str, NullStatistics]]:
    """The statistics of schema 1 by rank and kind, of ``raw``: those of the kind's first calibrated probe.

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


def _determinism(context: ContextReport, seed: int) -> RunDeterminism | None:
    if not context.determinism:
        return None
    return RunDeterminism(context.determinism, seed, tuple(context.determinism_notes))


def _stamp(seconds: float) -> str:
    """ISO 8601 with offset; empty where nothing was reported."""
    if seconds in (0.0, float("inf")):
        return ""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
