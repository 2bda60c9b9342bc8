"""``sway rank``: the checkpoints of a run, evaluated as one fleet: which to ship."""

from __future__ import annotations

import argparse
import glob
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.evaluating import QUIET, spec_path
from pytest_sway.cli.output import check_writable, write_error, write_text

if TYPE_CHECKING:
    from pytest_sway.suites.ranking import Ranking

_DEFAULT_SPEC = "sway.yaml"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "adapters", nargs="+", metavar="ADAPTER", help="Checkpoint folders, or quoted glob patterns"
    )
    parser.add_argument(
        "--spec",
        metavar="SPEC",
        help="The spec to evaluate the checkpoints with (default: sway.yaml, if it exists)",
    )
    parser.add_argument(
        "--data", metavar="FILE", help="The training data, from which a spec is generated (instead of --spec)"
    )
    parser.add_argument("--base", metavar="MODEL", help="The base model (only with --data)")
    parser.add_argument("--json", "-j", metavar="FILE", help="Write the ranking as JSON to this file")
    parser.add_argument(
        "--html", metavar="FILE", help="Write the ranking as an HTML page with a chart to this file"
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="Print only the conclusion")


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.reports import ranking_report

    for option in ("json", "html"):
        check_writable(option, getattr(parsed, option), [parsed.spec, parsed.data])
    folders = _folders(parsed.adapters)
    with _spec(parsed, folders[0]) as spec:
        ranking = _evaluate(spec, folders, parsed)
    if parsed.json is not None:
        write_text(ranking_report.text(ranking), parsed.json)
    if parsed.html is not None:
        from pytest_sway.reports.html.series_page import ranking_page

        try:
            write_text(ranking_page(ranking), parsed.html)
        except ValueError as error:
            raise CommandError(str(error)) from error
    columns = shutil.get_terminal_size().columns
    lines = ranking_report.sentences(ranking) if parsed.quiet else ranking_report.terminal(ranking, columns)
    write_text("\n".join(["", *lines] if not parsed.quiet else lines), None)
    return Exit.OK


def _folders(named: Sequence[str]) -> list[Path]:
    """The checkpoints, by the numbers in their names; each once.

    Raises:
        CommandError: one is no folder, or there are fewer than two.
    """
    from pytest_sway.spec.identical_adapters import identical_adapters
    from pytest_sway.spec.path_lookup import natural_order

    found: dict[Path, Path] = {}
    for name in named:
        is_pattern = glob.has_magic(name) and not Path(name).is_dir()
        matches = glob.glob(name) if is_pattern else [name]  # noqa: PTH207 - a whole path may be a pattern
        if not matches:
            raise CommandError(f"no folder matches the pattern {name}")
        for match in matches:
            folder = Path(match).absolute()
            if not folder.is_dir():
                raise CommandError(f"folder {match} does not exist; pass checkpoint folders")
            found.setdefault(folder.resolve(), folder)
    folders = sorted(found.values(), key=lambda folder: natural_order(str(folder)))
    for pair in identical_adapters(folders):
        write_error(f"note: {pair.second} contains the same adapter as {pair.first}, so it is skipped\n")
        folders.remove(pair.second)
    if len(folders) < 2:
        raise CommandError("sway rank needs two or more checkpoint folders with different adapters")
    return folders


@contextmanager
def _spec(parsed: argparse.Namespace, first: Path) -> Iterator[Path]:
    """The spec that is given, or one of the data, which lasts as long as the command."""
    if parsed.spec is not None and parsed.data is not None:
        raise CommandError("--spec and --data are mutually exclusive; pass only one")
    if parsed.data is None:
        if parsed.base is not None:
            raise CommandError("--base needs --data, because a spec sets its own base model")
        if parsed.spec is None and not Path(_DEFAULT_SPEC).is_file():
            raise CommandError(
                "no spec was found; pass a spec with --spec SPEC, or the training data with --data FILE"
            )
        yield spec_path(parsed.spec or _DEFAULT_SPEC)
        return
    from pytest_sway.spec_generation.adapter_folder import find_base
    from pytest_sway.spec_generation.data_error import DataError
    from pytest_sway.spec_generation.generator import SpecInputs, generate_spec

    with tempfile.TemporaryDirectory(prefix="sway-rank-") as folder:
        spec = Path(folder) / "rank.sway.yaml"
        try:
            inputs = SpecInputs(spec, find_base(first, parsed.base), first, Path(parsed.data))
            spec.write_text(generate_spec(inputs).text, "utf-8")
        except DataError as error:
            raise CommandError(str(error)) from error
        yield spec


def _evaluate(spec: Path, folders: Sequence[Path], parsed: argparse.Namespace) -> Ranking:
    """Measure all of them in one run of pytest.

    Raises:
        CommandError: one was not measured.
    """
    from pytest_sway.pytest_session import Outcomes, run_pytest
    from pytest_sway.suites.ranking import rank
    from pytest_sway.text.paths import stems

    outcomes = Outcomes()
    adapters = [f"--sway-adapter={folder}" for folder in folders]
    run_pytest(spec, [*QUIET, "-q", *adapters, *parsed.pytest_arguments], [outcomes])
    if outcomes.is_interrupted:
        raise KeyboardInterrupt
    if outcomes.faults:
        raise CommandError("\n".join(outcomes.faults))
    by_folder = {Path(suite.adapter_id).resolve(): suite for suite in outcomes.suites}
    missing = [folder for folder in folders if folder.resolve() not in by_folder]
    if missing or not outcomes.called:
        fault = f"{missing[0]} was not measured" if missing else "no checkpoint was measured"
        raise CommandError(f"{fault}; see the lines above for the reason")
    return rank([by_folder[folder.resolve()] for folder in folders], stems(folders))


RANK = Command(
    "rank",
    "Evaluate the checkpoints of a training run and recommend one",
    "sway rank run/checkpoint-* --data train.jsonl --html rank.html",
    _arguments,
    _run,
)
