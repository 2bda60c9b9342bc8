"""From a verdict to a pytest outcome, and from a worker to the controller."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sway.items.run_probe import SwayResult, result_without_measurement
from pytest_sway.items.stash_keys import MEASURED, MEASUREMENT_CONTEXT, ItemKey, item_key, suite_id
from pytest_sway.result import ProbeResult, SwayWarning, Verdict
from pytest_sway.suites.json_conversion import json_value, to_json

if TYPE_CHECKING:
    from pytest_sway.items.run_probe import MeasurementContext


def call(item: pytest.Function) -> Generator[None, Any, Any]:
    """Around a test's body: measure before it, raise the verdict after it.

    Without a number (skip, error) the body is not run: there is nothing that it could look at.
    """
    key = item_key(item)
    result = _resolved(item)
    if result is None or key is None:
        return (yield)
    if item.config.getini("sway_junit_probes"):
        before = [pair for pair in item.user_properties if not pair[0].startswith("sway_")]
        item.user_properties[:] = [*before, *_scalars(result)]  # a rerun has those of the run before
    if result.verdict in (Verdict.SKIP, Verdict.ERROR):
        _raise(item, key, result)
    returned = yield
    _raise(item, key, result)
    return returned


def attach(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put an item's results on its report, as JSON text: xdist carries them to the controller.

    (execnet itself takes no large negative integer, and one value that it does not take ends the session.)
    """
    measured = item.stash.get(MEASURED, [])
    key = item_key(item)
    if report.when == "call" and measured:
        vars(report)["sway_measured"] = [json.dumps(to_json(result)) for result in measured]
    if key is None or not _ends(report):
        return
    run = getattr(item, "funcargs", {}).get("sway_result")
    result = run.measured if isinstance(run, SwayResult) else run
    told: dict[str, Any] = {"suite": suite_id(item, key), "bench": _about(item)}
    if not isinstance(result, ProbeResult):
        result = _without_result(key, call, report)
        told["skipped_outside"] = result.verdict is Verdict.SKIP
    told["result"] = to_json(result)
    vars(report)["sway"] = json.dumps(told, allow_nan=False)


def _resolved(item: pytest.Function) -> ProbeResult | None:
    """What the fixture holds: a pending measure, or a result where someone overrode it."""
    run = item.funcargs.get("sway_result")
    if isinstance(run, SwayResult):
        return run.resolve()
    return run if isinstance(run, ProbeResult) else None


def _ends(report: pytest.TestReport) -> bool:
    """Whether this phase's report is the one that tells what became of the probe."""
    return report.when == "call" or (report.when == "setup" and not report.passed)


def _raise(item: pytest.Function, key: ItemKey, result: ProbeResult) -> None:
    text = f"{result.kind}: {result.message} ({key.entry.place})"
    if result.verdict in (Verdict.FAIL, Verdict.ERROR):
        pytest.fail(f"{result.verdict.upper()} {text}", pytrace=False)
    if result.verdict is Verdict.SKIP:
        pytest.skip(text)
    if result.verdict is Verdict.WARN and item.config.getoption("sway_strict"):
        pytest.fail(f"WARN {text}", pytrace=False)
    if result.verdict is Verdict.WARN:
        try:
            item.warn(SwayWarning(f"{result.name}: {text}"))
        except SwayWarning as error:  # -W error
            pytest.fail(f"WARN {error}", pytrace=False)


def _scalars(result: ProbeResult) -> list[tuple[str, object]]:
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


def _about(item: pytest.Item) -> dict[str, Any]:
    """What the backend says of itself, for the footer of the reports."""
    info = item.stash.get(MEASUREMENT_CONTEXT, None)
    if info is None:
        return {}
    bench: MeasurementContext = info["bench"]  # type: ignore[assignment]
    determinism = bench.engine.determinism()
    about = {
        "stats": bench.engine.stats(),
        "inert": bench.subject.inert,
        "notes": [*bench.subject.notes, *bench.population.notes, *bench.engine.notes()],
        "warnings": list(bench.subject.warnings),
        "determinism": [determinism.level, *determinism.notes] if determinism is not None else None,
        "base": bench.subject.base.base,
        "adapter": bench.subject.tuned.adapter,
    }
    found: dict[str, Any] = json_value(about)
    return found
