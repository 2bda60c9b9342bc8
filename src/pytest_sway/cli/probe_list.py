"""``sway list-probes``: the kinds of probes that a spec may name, those of plugins among them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from pytest_sway.cli.command import Command, Exit
from pytest_sway.cli.output import write_output
from pytest_sway.cli.session_kinds import add_spec_argument, kinds_of
from pytest_sway.cli.table import text_table

if TYPE_CHECKING:
    from pytest_sway.probes.base import Probe


_COLUMNS = ("kind", "category", "claim", "needs", "measures")


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_spec_argument(parser)
    parser.add_argument("--json", action="store_true", help="Print the list as JSON")


def _run(parsed: argparse.Namespace) -> int:
    kinds = kinds_of(parsed.spec)
    classes = [found for kind in kinds if (found := kinds.find(kind)) is not None]
    rows = list(map(_row, classes))
    if parsed.json:
        write_output(json.dumps([dict(zip(_COLUMNS, row, strict=True)) for row in rows], indent=2) + "\n")
    else:
        write_output(text_table(_COLUMNS, rows))
    return Exit.OK


def _row(probe: type[Probe[Any]]) -> list[str]:
    needs = ", ".join([*sorted(probe.requires), *([f"extra {probe.extra}"] if probe.extra else [])])
    return [probe.kind, probe.category, probe.claim.value, needs or "—", first_line(probe).rstrip(".")]


def first_line(probe: type[Probe[Any]]) -> str:
    """What a probe measures, as the first line of its docstring says."""
    return next(iter((probe.__doc__ or "").strip().splitlines()), "")


LIST_PROBES = Command(
    "list-probes",
    "List the probe kinds with category, claim, requirements and description",
    "sway list-probes",
    _arguments,
    _run,
)
