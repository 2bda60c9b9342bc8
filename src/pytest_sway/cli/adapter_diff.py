"""``sway diff``: two adapters on one base, evaluated by one run of pytest."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.evaluating import QUIET, spec_path
from pytest_sway.cli.output import write_text

_SMALL, _LARGE = 0.10, 0.20
"""Drops of a score that are counted, as dlm-sway counts them."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "spec", metavar="SPEC", help="The spec (sway.yaml); --a and --b replace its models.ft.adapter"
    )
    parser.add_argument("--a", required=True, metavar="DIR", help="The earlier adapter")
    parser.add_argument("--b", required=True, metavar="DIR", help="The later adapter")


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.pytest_session import Outcomes, run_pytest
    from pytest_sway.reports import comparison_report
    from pytest_sway.suites.comparison_matrix import build_matrix
    from pytest_sway.text.paths import stems

    folders = [Path(parsed.a).absolute(), Path(parsed.b).absolute()]
    for folder in folders:
        if not folder.is_dir():
            raise CommandError(f"folder {folder} does not exist; pass an adapter folder")
    if folders[0].resolve() == folders[1].resolve():
        raise CommandError(f"--a and --b are the same folder: {folders[0]}")
    outcomes = Outcomes()
    adapters = [f"--sway-adapter={folder}" for folder in folders]
    found = run_pytest(
        spec_path(parsed.spec), [*QUIET, "-q", *adapters, *parsed.pytest_arguments], [outcomes]
    )
    if outcomes.is_interrupted:
        return Exit.INTERRUPTED
    if outcomes.faults:
        raise CommandError("\n".join(outcomes.faults))
    by_folder = {Path(suite.adapter_id).resolve(): suite for suite in outcomes.suites}
    results = [by_folder.get(folder.resolve()) for folder in folders]
    if found not in (0, 1) or not outcomes.called or results[0] is None or results[1] is None:
        raise CommandError("one of the two adapters was not measured; see the lines above for the reason")
    matrix = build_matrix([results[0], results[1]], stems(folders))
    columns = shutil.get_terminal_size().columns
    drops = [-one.score_delta for one in matrix.newest if one.score_delta is not None]
    change = matrix.composite_change
    composite = "not compared" if change is None else f"{change:+.2f}"
    counted = (
        f"scores that dropped by more than {_SMALL:.2f}: {sum(drop > _SMALL for drop in drops)}, "
        f"by more than {_LARGE:.2f}: {sum(drop > _LARGE for drop in drops)}; "
        f"change of the composite score: {composite}"
    )
    write_text("\n".join(["", *comparison_report.terminal(matrix, None, columns), counted]), None)
    return Exit.OK


DIFF = Command(
    "diff",
    "Evaluate two adapters of the same base model and show what changed from the first to the second",
    "sway diff sway.yaml --a run1/adapter --b run2/adapter",
    _arguments,
    _run,
)
