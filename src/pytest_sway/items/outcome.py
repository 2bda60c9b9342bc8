"""From a verdict to a pytest outcome, and from a worker to the controller."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from pytest_sway.items.item_key import ItemKey, item_key, suite_id
from pytest_sway.items.run_probe import MeasurementContext, SwayResult, result_without_measurement
from pytest_sway.items.stash_keys import MEASURED_IN_TEST, MEASUREMENT_CONTEXT, PLANNED, SERVED_CONTEXT
from pytest_sway.result import ProbeResult, SwayWarning, Verdict
from pytest_sway.session.item_report import ContextReport, ItemReport
from pytest_sway.suites.json_conversion import json_value, to_json
from pytest_sway.text.width import clean


def call_test(item: pytest.Function) -> Generator[None, Any, Any]:
    """Around a test's body: measure before it, raise the verdict after it.

    Without a number (skip, error) the body is not run: there is nothing that it could look at.
    """
    key = item_key(item)
    result = _probe_result(item)
    if result is None or key is None:
        return (yield)
    if item.config.getini("sway_junit_probes"):
        before = [pair for pair in item.user_properties if not pair[0].startswith("sway_")]
        item.user_properties[:] = [*before, *_junit_properties(result)]  # a rerun has those of the run before
    if result.verdict in (Verdict.SKIP, Verdict.ERROR):
        _raise_verdict(item, key, result)
    returned = yield
    _raise_verdict(item, key, result)
    return returned


def attach_results(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put an item's results on its report, as JSON text: xdist sends them to the controller with it."""
    measured = item.stash.get(MEASURED_IN_TEST, [])
    if report.when == "call" and measured:
        vars(report)["sway_measured"] = [json.dumps(to_json(result)) for result in measured]
    key = item_key(item)
    if key is None or not _is_last(report):
        return
    run = getattr(item, "funcargs", {}).get("sway_result")
    result = run.measured if isinstance(run, SwayResult) else run
    skipped_outside = False
    if not isinstance(result, ProbeResult):
        result = _without_result(key, call, report)
        skipped_outside = result.verdict is Verdict.SKIP
    context = item.stash.get(MEASUREMENT_CONTEXT, None)
    about = item.stash.get(SERVED_CONTEXT, None) if context is None else _context_report(context)
    if PLANNED in item.stash:
        vars(report)["sway_planned"] = json.dumps(to_json(item.stash[PLANNED]))
    vars(report)["sway"] = ItemReport(suite_id(item, key), result, about, skipped_outside).to_text()


def _probe_result(item: pytest.Function) -> ProbeResult | None:
    """What the fixture holds: a pending measure, or a result where someone overrode it."""
    run = item.funcargs.get("sway_result")
    if isinstance(run, SwayResult):
        return run.resolve()
    return run if isinstance(run, ProbeResult) else None


def _is_last(report: pytest.TestReport) -> bool:
    """Whether this phase is the one after which the probe's outcome is known."""
    return report.when == "call" or (report.when == "setup" and not report.passed)


def _raise_verdict(item: pytest.Function, key: ItemKey, result: ProbeResult) -> None:
    text = clean(f"{result.kind}: {result.message} ({key.entry.location})")
    if result.verdict in (Verdict.FAIL, Verdict.ERROR):
        pytest.fail(f"{result.verdict.upper()} {text}", pytrace=False)
    if result.verdict is Verdict.SKIP:
        pytest.skip(text)
    if result.verdict is Verdict.WARN and item.config.getoption("sway_strict"):
        pytest.fail(f"WARN {text}", pytrace=False)
    if result.verdict is Verdict.WARN:
        name = f"{clean(result.name)}: " if result.name != result.kind else ""
        try:
            item.warn(SwayWarning(f"{name}{text}"))
        except SwayWarning as error:  # -W error
            pytest.fail(f"WARN {error}", pytrace=False)


def _junit_properties(result: ProbeResult) -> list[tuple[str, object]]:
    """The testcase's properties in JUnit XML."""
    values = {
        "sway_verdict": result.verdict.value,
        "sway_score": result.score,
        "sway_raw": result.raw,
        "sway_z": result.z_score,
    }
    return [(name, json_value(value)) for name, value in values.items() if value is not None]


def _without_result(key: ItemKey, call: pytest.CallInfo[None], report: pytest.TestReport) -> ProbeResult:
    """A probe that was never measured: a skip of the user's, or an error in its way."""
    error = call.excinfo.value if call.excinfo is not None else None
    skipped = report.skipped and not hasattr(report, "wasxfail")
    message = str(error) or type(error).__name__
    return result_without_measurement(key.entry.probe, Verdict.SKIP if skipped else Verdict.ERROR, message)


def _context_report(context: MeasurementContext) -> ContextReport:
    """What the reports say of backend, adapter and nulls."""
    engine, subject = context.engine, context.subject
    determinism = engine.determinism()
    return ContextReport(
        backend_stats=engine.stats(),
        inert=subject.inert,
        notes=(*subject.notes, *context.population.notes, *engine.notes()),
        warnings=subject.warnings,
        determinism=determinism.level if determinism is not None else "",
        determinism_notes=determinism.notes if determinism is not None else (),
        base_digest=subject.base.base,
        adapter_digest=subject.tuned.adapter,
    )
