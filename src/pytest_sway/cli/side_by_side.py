"""``sway samples``: what base and adapter answer to a suite's questions, side by side."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.evaluating import spec_path
from pytest_sway.cli.output import check_writable, write_text

if TYPE_CHECKING:
    from pytest_sway.result import ProbeResult, SuiteResult

_FILES = {"markdown": "--sway-md", "html": "--sway-html", "json": "--sway-json"}
"""pytest's name of each option."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="The sway.yaml with the questions")
    parser.add_argument(
        "-n",
        type=int,
        default=10,
        metavar="N",
        help="Number of samples to show: half the best, half the worst (default: 10)",
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="Use this adapter instead of the one in the spec (repeatable)",
    )
    parser.add_argument("--markdown", "-m", metavar="FILE", help="Write the samples as Markdown to this file")
    parser.add_argument("--html", metavar="FILE", help="Write the samples as an HTML page to this file")
    parser.add_argument(
        "--json", "-j", metavar="FILE", help="Write the result with the samples as JSON to this file"
    )


def _run(parsed: argparse.Namespace) -> int:
    if not 1 <= parsed.n <= 1000:
        raise CommandError(f"-n {parsed.n}: write a number from 1 to 1000")
    options = [f"--sway-samples={parsed.n}"]
    for name, option in _FILES.items():
        file = getattr(parsed, name)
        check_writable(name, file, [parsed.spec])
        options += [f"{option}={file}"] if file is not None else []
    options += [f"--sway-adapter={adapter}" for adapter in parsed.adapter]
    suites = _ask(spec_path(parsed.spec), [*options, *parsed.pytest_arguments])
    write_text("\n".join(_lines(suites)), None)
    return Exit.OK


def _ask(spec: Path, options: Sequence[str]) -> list[SuiteResult]:
    """The suites' results, of their samples alone.

    Raises:
        CommandError: nothing was asked.
    """
    from pytest_sway.cli.samples_alone import SamplesAlone
    from pytest_sway.pytest_session import run_quietly

    return run_quietly(spec, options, SamplesAlone())


def _lines(suites: Sequence[SuiteResult]) -> list[str]:
    """All suites' answers; where there are several, each under its adapter's name."""
    from pytest_sway.reports.samples_text import answer_pairs, terminal
    from pytest_sway.text.paths import tail

    columns, lines = shutil.get_terminal_size().columns, list[str]()
    for suite in suites:
        probe = _samples_of(suite)
        if probe is None or not answer_pairs(probe):
            why = suite.not_evaluated or (probe.message if probe is not None else "no samples were generated")
            raise CommandError(f"{tail(suite.adapter_id)}: {why}")
        lines += ["", tail(suite.adapter_id)] if len(suites) > 1 else []
        lines += terminal(probe, columns)
    return lines


def _samples_of(suite: SuiteResult) -> ProbeResult | None:
    from pytest_sway.result import Claim

    return next((probe for probe in suite.probes if probe.claim is Claim.DESCRIPTION), None)


SAMPLES = Command(
    "samples",
    "Show the best and the worst answers of the adapter next to the answers of the base model",
    "sway samples sway.yaml -n 10 --markdown samples.md",
    _arguments,
    _run,
)
