"""``sway trace``: where a run's time went."""

from __future__ import annotations

import argparse
import shutil

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import write_text


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("trace", metavar="JSONL", help="A trace file written by --trace or --sway-trace")
    parser.add_argument(
        "--format",
        choices=("terminal", "md", "json"),
        default="terminal",
        help="Output format (default: terminal)",
    )
    parser.add_argument(
        "--slowest",
        type=int,
        default=10,
        metavar="K",
        help="Number of the slowest requests to list (default: 10)",
    )


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.reports import trace_report
    from pytest_sway.reports.json_report import json_text

    if parsed.slowest < 0:
        raise CommandError(f"--slowest {parsed.slowest}: write a number ≥ 0, e.g. 10")
    try:
        report = trace_report.read_trace(parsed.trace, parsed.slowest)
    except trace_report.EmptyTraceError as error:
        raise CommandError(str(error), Exit.GATE_FAILED) from error
    except trace_report.TraceError as error:
        raise CommandError(str(error)) from error
    if parsed.format == "json":
        text = json_text(trace_report.payload(report))
    elif parsed.format == "md":
        text = trace_report.markdown(report)
    else:
        text = "\n".join(trace_report.terminal(report, shutil.get_terminal_size().columns))
    write_text(text, None)
    return Exit.OK


TRACE = Command(
    "trace",
    "Summarize a trace: the time per probe, the time per model or adapter, and the slowest requests",
    "sway trace trace.jsonl --slowest 5",
    _arguments,
    _run,
)
