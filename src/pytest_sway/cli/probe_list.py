"""``sway list-probes``: the kinds of probes that a spec may name, those of plugins among them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.table import text_table

if TYPE_CHECKING:
    import pytest

    from pytest_sway.probes.base import Probe


class KindsOfSession:
    """A plugin that keeps the kinds that a session knows, with those of installed plugins."""

    def __init__(self) -> None:
        self.classes: list[type[Probe[Any]]] = []
        self.fault = ""

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Ask the hooks."""
        from pytest_sway.items.probe_kinds import KindsError, kinds_for

        try:
            kinds = kinds_for(session.config, session.config.hook)
        except KindsError as error:
            self.fault = str(error)
            return
        self.classes = [found for kind in kinds if (found := kinds.find(kind)) is not None]


def _arguments(parser: argparse.ArgumentParser) -> None:
    del parser  # it takes none


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.cli.pytest_session import run_pytest

    del parsed
    known = KindsOfSession()
    with tempfile.TemporaryDirectory() as empty:
        run_pytest(Path(empty), ["-p", "no:terminal", "--collect-only"], [known])
    if known.fault:
        raise CommandError(known.fault)
    sys.stdout.write(text_table(["kind", "category", "claim", "needs", "measures"], map(_row, known.classes)))
    return Exit.OK


def _row(probe: type[Probe[Any]]) -> list[str]:
    needs = ", ".join([*sorted(probe.requires), *([f"extra {probe.extra}"] if probe.extra else [])])
    first = (probe.__doc__ or "").strip().splitlines() or [""]
    return [probe.kind, probe.category, probe.claim.value, needs or "—", first[0].rstrip(".")]


LIST_PROBES = Command(
    "list-probes",
    "List the kinds of probes: category, claim, what each needs and measures",
    "sway list-probes",
    _arguments,
    _run,
)
