"""The terminal summary: first what a person needs, then the numbers behind it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.reports import calibration, changes, numbers
from pytest_sway.reports.labels import tail
from pytest_sway.result import MEASURED, ProbeResult, SuiteResult, Verdict

_COLOURS = {"noise": "red", "partial": "yellow", "healthy": "green", "suspicious": "purple"}
_VERDICT_COLOURS = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "red",
    Verdict.SKIP: "yellow",
    Verdict.ERROR: "red",
}
_BAR = 20
_NARROWEST = 60
_LONGEST_NAME = 24
_VERDICT_WIDTH = 7


def show(
    writer: pytest.TerminalReporter,
    suites: Sequence[SuiteResult],
    measured: Sequence[tuple[str, dict[str, Any]]],
) -> None:
    """Write a section per suite, and one for what code-first tests measured."""
    for suite in suites:
        _show_suite(writer, suite)
    if measured and writer.config.get_verbosity() >= 0:
        writer.write_sep("-", "sway: measured in tests")
        for nodeid, wire in measured:
            result = ProbeResult.from_wire(wire)
            writer.write_line(f"{nodeid}: {result.name} {_figures(result)}")


def _show_suite(writer: pytest.TerminalReporter, suite: SuiteResult) -> None:
    verbosity = writer.config.get_verbosity()
    writer.write_sep("=" if verbosity >= 0 else "-", f"sway: {_label(suite)}")
    _headline(writer, suite)
    if verbosity >= 0:
        for finding in suite.score.findings:
            _fold(writer, f"  • {finding}", "    ")
        _categories(writer, suite)
        width = max((len(probe.name) for probe in suite.probes), default=0)
        for probe in suite.probes:
            _probe(writer, probe, min(width, _LONGEST_NAME), suite.score.findings)
        for sentence in calibration.of_suite(suite.calibration):
            _fold(writer, f"  {sentence}", "    ")
        _fold(writer, _missing_extras(suite.probes), "    ")
        for note in suite.notes:
            _fold(writer, f"  note: {note}", "    ")
        _footer(writer, suite)
    for line, markup in changes.rows(suite.baseline, verbosity) if suite.baseline else ():
        _fold(writer, line, "      ", **markup)
    _gate(writer, suite)


def _headline(writer: pytest.TerminalReporter, suite: SuiteResult) -> None:
    score, status = suite.score, suite.gate["status"]
    colour = {_COLOURS[score.band] if status == "passed" else "red": True, "bold": True}
    if status == "partial":
        writer.write_line(f"PARTIAL RUN  composite of what ran {numbers.score(score.overall)}")
        return
    if not any(probe.verdict in MEASURED for probe in suite.probes):
        writer.write_line(f"{status.upper()}  nothing was measured", **colour)
        return
    writer.write_line(
        f"{status.upper()}  {score.band}, composite {numbers.score(score.overall)} "
        f"(gate {numbers.score(suite.gate['threshold'])})",
        **colour,
    )
    writer.write_line(f"  adapter {tail(suite.adapter_id)} on {tail(suite.base_model_id)}")


def _categories(writer: pytest.TerminalReporter, suite: SuiteResult) -> None:
    score = suite.score
    for name, value in score.components.items():
        weight = score.weights[name]
        if not weight:
            continue
        bar = "█" * round(value * _BAR)
        figure = numbers.score(value)
        writer.write_line(f"  {name:<12} {figure} {bar:░<{_BAR}} weight {numbers.score(weight)}")
    if score.components and (score.effect_factor < 1 or score.harm_factor < 1):
        factors = f"effect {score.effect_factor:.2f}, harmlessness {score.harm_factor:.2f}"
        writer.write_line(f"  the mean of the categories is multiplied by: {factors}")


def _probe(writer: pytest.TerminalReporter, probe: ProbeResult, width: int, told: Sequence[str]) -> None:
    """One row, and the message below it where the findings did not tell it already."""
    colour = {_VERDICT_COLOURS[probe.verdict]: True}
    writer.write(f"  {probe.verdict.upper():<5}", **colour)
    figures = _figures(probe)
    if writer.config.get_verbosity() > 0:
        figures += f"  {numbers.duration(probe.duration_s)}"
    _fold(writer, f" {probe.name:<{width}}  {figures}", " " * 8, used=_VERDICT_WIDTH)
    lines = [calibration.of_probe(probe), calibration.rank_profile(probe)]
    if not any(probe.message in finding for finding in told):
        lines.insert(0, probe.message)
    for line in filter(None, lines):
        _fold(writer, f"        {line}", "        ")


def _figures(probe: ProbeResult) -> str:
    parts = [f"score {numbers.score(probe.score)}", f"raw {numbers.raw(probe.raw)}"]
    if probe.ci_95 is not None:
        low, high = map(numbers.raw, probe.ci_95)
        parts.append(f"95 % [{low}, {high}]")
    if probe.z_score is not None:
        parts.append(f"z {numbers.z(probe.z_score)}")
    return "  ".join(parts)


def _missing_extras(probes: Sequence[ProbeResult]) -> str:
    """One line for all probes that were skipped for want of an extra; empty where none was."""
    wanting = {
        probe.name: probe.evidence["missing_extra"] for probe in probes if "missing_extra" in probe.evidence
    }
    if not wanting:
        return ""
    extras = ",".join(sorted(set(wanting.values())))
    return f"  not measured for want of an extra: {', '.join(wanting)}; pip install 'pytest-sway[{extras}]'"


def _footer(writer: pytest.TerminalReporter, suite: SuiteResult) -> None:
    stats, determinism = suite.backend_stats, suite.determinism
    parts = [f"wall {numbers.duration(suite.wall_seconds)}"]
    if determinism is not None:
        parts.append(f"determinism {determinism['class']} (seed {determinism['seed']})")
    if stats:
        asked = stats["cache_hits"] + stats["cache_misses"]
        stored = f" ({stats['stored_hits']} from disk)" if stats["stored_hits"] else ""
        parts.append(f"cache {stats['cache_hits']}/{asked}{stored}")
        if stats.get("forward_passes"):
            parts += _forwards(stats)
    _fold(writer, "  " + " | ".join(parts), "    ", light=True)


def _forwards(stats: dict[str, float]) -> list[str]:
    """What the model's forwards cost."""
    tokens, padding = stats["tokens"], stats["padding_tokens"]
    speed = tokens / stats["scoring_wall_s"] if stats["scoring_wall_s"] else 0.0
    share = padding / (tokens + padding)
    parts = [f"{stats['forward_passes']} batches", f"{tokens:,} tokens (padding {share:.0%})"]
    if stats["halved_batches"]:
        parts.append(f"{stats['halved_batches']} batches halved for want of memory")
    return [*parts, f"{speed:,.0f} tokens/s"]


def _gate(writer: pytest.TerminalReporter, suite: SuiteResult) -> None:
    status, reasons = suite.gate["status"], suite.gate["reasons"]
    if status == "passed":
        writer.write_line("GATE PASSED", green=True, bold=True)
    elif status == "failed":
        writer.write_line(f"GATE FAILED {_label(suite)}", red=True, bold=True)
        for reason in reasons:
            _fold(writer, f"  - {reason}", "    ")
    else:
        _fold(writer, f"not gated: {'; '.join(reasons)}", "  ")


def _fold(writer: pytest.TerminalReporter, text: str, indent: str, used: int = 0, **markup: bool) -> None:
    """Write a text in lines of the terminal's width; ``used`` columns of the first are taken already."""
    width = max(_NARROWEST, writer.config.get_terminal_writer().fullwidth)
    filled = "x" * used + text
    for number, line in enumerate(
        textwrap.wrap(filled, width, subsequent_indent=indent, break_on_hyphens=False)
    ):
        writer.write_line(line if number else line[used:], **markup)


def _label(suite: SuiteResult) -> str:
    return suite.suite or Path(suite.spec_path).name
