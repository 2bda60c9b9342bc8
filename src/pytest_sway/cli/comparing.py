"""``sway compare``: saved results side by side."""

from __future__ import annotations

import argparse
import shutil

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import write_text


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", nargs="+", metavar="JSON", help="Results, the newest last")
    parser.add_argument("--format", choices=("terminal", "md", "markdown", "json"), default="terminal")
    parser.add_argument(
        "--fail-on-regression",
        type=float,
        default=0.0,
        metavar="DROP",
        help="Exit with 1 where the newest is this much below the one before (0: never)",
    )


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.reports import comparison_report
    from pytest_sway.suites.comparison_matrix import build_matrix
    from pytest_sway.suites.saved_results import SavedResultError, read_saved_result
    from pytest_sway.text.paths import stems

    threshold = parsed.fail_on_regression
    if not 0 <= threshold <= 1:
        raise CommandError(f"--fail-on-regression {threshold}: write a number in [0, 1], e.g. 0.1")
    try:
        results = [read_saved_result(path) for path in parsed.results]
    except SavedResultError as error:
        raise CommandError(str(error)) from error
    matrix = build_matrix(results, stems(parsed.results))
    if parsed.format == "json":
        text = comparison_report.text(matrix, threshold)
    elif parsed.format == "terminal":
        columns = shutil.get_terminal_size().columns
        text = "\n".join(comparison_report.terminal(matrix, threshold, columns))
    else:
        text = comparison_report.markdown(matrix, threshold)
    write_text(text, None)
    return Exit.GATE_FAILED if threshold and matrix.regressions(threshold) else Exit.OK


COMPARE = Command(
    "compare",
    "Show saved results side by side, and what became worse",
    "sway compare monday.json tuesday.json --fail-on-regression 0.1",
    _arguments,
    _run,
)
