"""``sway report``: a saved result in another form."""

from __future__ import annotations

import argparse
import shutil

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import check_writable, write_text

FORMATS = ("terminal", "md", "markdown", "junit", "json", "html")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "result",
        metavar="JSON",
        help="A result file that pytest-sway (--json, --sway-json) or dlm-sway wrote",
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="terminal", help="Output format (default: terminal)"
    )
    parser.add_argument("--out", metavar="FILE", help="Write to this file")


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.suites.saved_results import SavedResultError, read_saved_result

    if parsed.format == "html" and parsed.out is None:
        raise CommandError("--format html writes a page of 5 MB; pass a file name with --out")
    if parsed.format == "terminal" and parsed.out is not None:
        raise CommandError("--format terminal cannot be written to a file; remove --out, or use --format md")
    check_writable("out", parsed.out, [parsed.result])
    try:
        suite = read_saved_result(parsed.result)
    except SavedResultError as error:
        raise CommandError(str(error)) from error
    if parsed.format == "terminal":
        from pytest_sway.reports.terminal import lines

        columns = shutil.get_terminal_size().columns
        text = "\n".join("".join(span.text for span in line) for line in lines(suite, columns))
    elif parsed.format == "junit":
        from pytest_sway.reports.junit_document import text as junit_text

        text = junit_text(suite)
    elif parsed.format == "json":
        from pytest_sway.reports.json_report import text as json_text

        text = json_text(suite)
    elif parsed.format == "html":
        from pytest_sway.reports.html import text as html_text

        try:
            text = html_text(suite)
        except ValueError as error:
            raise CommandError(str(error)) from error
    else:
        from pytest_sway.reports.markdown import text as markdown_text

        text = markdown_text(suite)
    write_text(text, parsed.out)
    return Exit.OK


REPORT = Command(
    "report",
    "Render a saved result as terminal text, Markdown, JUnit, JSON or HTML",
    "sway report result.json --format md --out report.md",
    _arguments,
    _run,
)
