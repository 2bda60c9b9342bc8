"""``sway compare``: saved results side by side, or the history in a folder."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import check_writable, write_error, write_text

if TYPE_CHECKING:
    from pytest_sway.result import SuiteResult
    from pytest_sway.suites.comparison_matrix import CompareMatrix

_FORMATS = ("terminal", "md", "markdown", "json", "html")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results",
        nargs="+",
        metavar="JSON",
        help="Result files, from oldest to newest, or a folder of results (they are sorted by date)",
    )
    parser.add_argument(
        "--format", choices=_FORMATS, default="terminal", help="Output format (default: terminal)"
    )
    parser.add_argument("--out", metavar="FILE", help="Write to this file")
    parser.add_argument(
        "--fail-on-regression",
        type=float,
        default=0.0,
        metavar="DROP",
        help="Exit with status 1 if a score dropped by DROP or more since the previous result (0: never)",
    )


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.suites.comparison_matrix import build_matrix
    from pytest_sway.text.paths import stems

    threshold = parsed.fail_on_regression
    if not 0 <= threshold <= 1:
        raise CommandError(f"--fail-on-regression {threshold}: write a number in [0, 1], e.g. 0.1")
    if parsed.format == "html" and parsed.out is None:
        raise CommandError("--format html writes a page of 5 MB; pass a file name with --out")
    check_writable("out", parsed.out, parsed.results)
    named = [one for given in parsed.results for one in _results(given)]
    matrix = build_matrix([result for _, result in named], stems([path for path, _ in named]))
    write_text(_text(matrix, parsed.format, threshold, parsed.out), parsed.out)
    return Exit.GATE_FAILED if threshold and matrix.regressions(threshold) else Exit.OK


def _results(named: str) -> Iterator[tuple[str, SuiteResult]]:
    """A file's result, or those of a folder, the newest last; what is none there is left out by name.

    Raises:
        CommandError: a file is no result, or a folder holds none.
    """
    from pytest_sway.suites.saved_results import SavedResultError, read_saved_result

    if not Path(named).is_dir():
        try:
            yield named, read_saved_result(named)
        except SavedResultError as error:
            raise CommandError(str(error)) from error
        return
    found: list[tuple[str, SuiteResult]] = []
    for file in sorted(Path(named).glob("*.json")):
        try:
            found.append((str(file), read_saved_result(file)))
        except SavedResultError as error:
            write_error(f"note: skipped: {error}\n")
    if not found:
        raise CommandError(f"{named} contains no results (*.json)")
    yield from _by_date(found)


def _by_date(found: Sequence[tuple[str, SuiteResult]]) -> list[tuple[str, SuiteResult]]:
    """By the time that each was finished; by the files' names where one does not say it."""
    if all(result.finished_at for _, result in found):
        return sorted(found, key=lambda one: one[1].finished_at)
    return list(found)


def _text(matrix: CompareMatrix, form: str, threshold: float, out: str | None) -> str:
    from pytest_sway.reports import comparison_report

    if form == "json":
        return comparison_report.text(matrix, threshold)
    if form == "terminal":
        columns = shutil.get_terminal_size().columns if out is None else 80
        return "\n".join(comparison_report.terminal(matrix, threshold, columns))
    if form == "html":
        from pytest_sway.reports.html.series_page import comparison_page

        try:
            return comparison_page(matrix, threshold)
        except ValueError as error:
            raise CommandError(str(error)) from error
    return comparison_report.markdown(matrix, threshold)


COMPARE = Command(
    "compare",
    "Compare saved results side by side and show regressions",
    "sway compare monday.json tuesday.json --fail-on-regression 0.1",
    _arguments,
    _run,
)
