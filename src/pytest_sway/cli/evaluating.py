"""``sway run`` and ``sway gate``: a suite, evaluated by pytest."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import check_writable, empty_value, write_output

if TYPE_CHECKING:
    from pytest_sway.pytest_session import Outcomes

PACK_SUFFIX = ".swaypack.tar.gz"
QUIET = ("--tb=no", "-rN", "--no-header")
"""What pytest says of failed tests is in our summary."""
_FILES = ("json", "report", "markdown", "html", "trace", "junit")
_OPTIONS = {
    "json": "--sway-json",
    "report": "--sway-json",
    "markdown": "--sway-md",
    "html": "--sway-html",
    "trace": "--sway-trace",
    "junit": "--junitxml",
    "weights": "--sway-weights",
    "limit": "--sway-limit",
    "samples": "--sway-samples",
    "threshold": "--sway-threshold",
    "baseline": "--sway-baseline",
    "fail_on_regression": "--sway-fail-on-regression",
}
"""pytest's name of each option."""


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="The sway.yaml")
    parser.add_argument(
        "--json", "-j", metavar="FILE", help="Write the result as JSON (schema 1) to this file"
    )
    parser.add_argument("--markdown", "-m", metavar="FILE", help="Write the report as Markdown to this file")
    parser.add_argument(
        "--html", metavar="FILE", help="Write the report as a self-contained HTML page to this file"
    )
    parser.add_argument(
        "--trace", metavar="FILE", help="Write one JSON line for each request to a model to this file"
    )
    parser.add_argument(
        "--samples", metavar="N", help="Show N answers of the base model and the adapter, side by side"
    )
    parser.add_argument(
        "--weights", metavar="k=v,...", help="Category weights, which override the weights in the spec"
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="Print only the verdict and the gate")
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="Adapter to evaluate instead of the one in the spec (repeatable; accepts globs)",
    )


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--limit", metavar="N", help="Use at most N items per probe (for a quick look)")
    parser.add_argument(
        "--base", metavar="DIR", help="Folder of the base model on this machine (only for packs)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="Check the spec and list its probes without loading a model"
    )


def _gate_arguments(parser: argparse.ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--junit", metavar="FILE", help="Write JUnit XML to this file; the gate is a separate testcase"
    )
    parser.add_argument("--report", metavar="FILE", help="Alias of --json")
    parser.add_argument(
        "--threshold", metavar="F", help="Minimum composite score to pass (default: from the spec)"
    )
    parser.add_argument("--baseline", metavar="FILE", help="Compare with an earlier result")
    parser.add_argument(
        "--fail-on-regression",
        metavar="DROP",
        help="Fail the gate if a score dropped by DROP or more since the baseline",
    )


def _run(parsed: argparse.Namespace) -> int:
    if is_pack(parsed.spec):
        return _run_pack(parsed)
    if parsed.base is not None:
        raise CommandError("--base is only for packs; the base model of a spec is set in the spec")
    if not parsed.dry_run:
        return _evaluate(parsed, is_gate=False)
    from pytest_sway.cli.dry_run import list_suite

    if named := [f"--{name}" for name in _FILES if getattr(parsed, name, None) is not None]:
        raise CommandError(f"--dry-run does not produce a result; remove {', '.join(named)}")
    return list_suite(spec_path(parsed.spec), [*_pytest_options(parsed), *parsed.pytest_arguments])


def _gate(parsed: argparse.Namespace) -> int:
    if parsed.json is not None and parsed.report is not None:
        raise CommandError("--report is an alias of --json; pass only one of them")
    return _evaluate(parsed, is_gate=True)


def _run_pack(parsed: argparse.Namespace) -> int:
    """Evaluate the suite of a pack in a temporary folder, and compare the result with the pack's."""
    from pytest_sway.cli.pack_sessions import unpacked_session
    from pytest_sway.pytest_session import Outcomes

    if parsed.dry_run:
        raise CommandError("--dry-run needs a spec; unpack the pack first (sway unpack)")
    if len(parsed.adapter) > 1:
        raise CommandError("a pack contains one adapter; pass --adapter only once")
    outcomes = Outcomes()
    for name in _FILES:  # what is written must not be the pack itself
        check_writable(name, getattr(parsed, name, None), [parsed.spec])
    with unpacked_session(Path(parsed.spec), parsed.base, *parsed.adapter[:1]) as session:
        parsed.spec, parsed.adapter = str(session.spec), []
        status = _evaluate(parsed, is_gate=False, outcomes=outcomes, root=session.root)
        if not parsed.quiet and outcomes.suites:
            write_output(f"{session.comparison(outcomes.suites[0])}\n")
    return status


def _evaluate(
    parsed: argparse.Namespace,
    *,
    is_gate: bool,
    outcomes: Outcomes | None = None,
    root: Path | None = None,
) -> int:
    """Run the suite; 1 where the gate failed, if that is asked, and 2 where nothing could be said."""
    from pytest_sway.pytest_session import Outcomes, run_pytest

    is_of_pack, spec = outcomes is not None, spec_path(parsed.spec)
    outcomes = outcomes or Outcomes()
    options = [*QUIET, *_pytest_options(parsed), *parsed.pytest_arguments]
    found = run_pytest(spec, options, [outcomes], root=root)
    if outcomes.is_interrupted:
        return Exit.INTERRUPTED
    if outcomes.faults:
        raise CommandError("\n".join(outcomes.faults))
    if found not in (0, 1) or not outcomes.called:
        return Exit.CANNOT_RUN
    if outcomes.unwritten and not (is_gate and any(suite.gate.failed for suite in outcomes.suites)):
        return Exit.CANNOT_RUN  # pytest's summary says which file
    if not is_gate:
        if not parsed.quiet and not is_of_pack:
            shown = shlex.join(["sway", "samples", parsed.spec])
            write_output(f"next: {shown} shows the answers of the base model and the adapter\n")
        return Exit.OK
    if not any(suite.gate.status in ("passed", "failed") for suite in outcomes.suites):
        raise CommandError("the gate was not evaluated, because only part of the suite was measured")
    return Exit.GATE_FAILED if found else Exit.OK


def _pytest_options(parsed: argparse.Namespace) -> Iterator[str]:
    for name, option in _OPTIONS.items():
        value = getattr(parsed, name, None)
        if value == "":
            raise CommandError(empty_value(name))
        if value is not None and name in _FILES:
            check_writable(name, None if Path(value).is_dir() else value, [parsed.spec])
        if value is not None:
            yield f"{option}={value}"
    if parsed.quiet:
        yield from ("-q", "--disable-warnings")
    for adapter in parsed.adapter:
        yield f"--sway-adapter={adapter}"


def is_pack(named: str) -> bool:
    """Whether a path is a pack rather than a spec, by its name."""
    return named.endswith(PACK_SUFFIX) and os.path.isfile(named)  # noqa: PTH113 - it raises for no name


def spec_path(named: str) -> Path:
    """The file of a spec.

    Raises:
        CommandError: there is none.
    """
    path = Path(named)
    if not os.path.isfile(path):  # noqa: PTH113 - unlike Path.is_file it raises for no name
        raise CommandError(f"file {named} does not exist; pass the path of a sway.yaml")
    return path


RUN = Command(
    "run",
    "Run a suite and report the results; failed probes do not change the exit status",
    "sway run sway.yaml --json result.json",
    _run_arguments,
    _run,
)
GATE = Command(
    "gate",
    "Run a suite; exit with status 1 if its gate fails",
    "sway gate sway.yaml --junit gate.xml --threshold 0.7",
    _gate_arguments,
    _gate,
)
