"""``sway run --dry-run``: the probes of a suite, collected by pytest and not run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_sway.cli.command import CommandError, Exit
from pytest_sway.cli.output import write_output
from pytest_sway.cli.table import text_table
from pytest_sway.items.item_key import item_key
from pytest_sway.pytest_session import Outcomes, run_pytest


class CollectedProbes(Outcomes):
    """A plugin that keeps what was collected, and what stood in the way."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep each probe once, however many adapters there are."""
        for item in session.items:
            key = item_key(item)
            if key is not None:
                probe = key.entry.probe
                enabled = "yes" if probe.options.enabled else "no"
                self.rows[probe.name] = [probe.name, probe.kind, probe.category, enabled]


def list_suite(spec: Path, options: Sequence[str]) -> int:
    """Print a numbered table of a suite's probes.

    Args:
        spec: the suite's.
        options: of pytest's command line.

    Raises:
        CommandError: the spec cannot be read; with everything that is wrong in it.
    """
    collected = CollectedProbes()
    found = run_pytest(spec, ["--collect-only", "-p", "no:terminal", *options], [collected])
    if collected.faults:
        raise CommandError("\n".join(collected.faults))
    if found not in (0, 5):  # pytest has said why, on standard error
        return Exit.CANNOT_RUN
    if not collected.rows:
        raise CommandError(f"pytest found no probes in {spec}; check that this file is a sway.yaml")
    rows = [[str(number), *row] for number, row in enumerate(collected.rows.values(), 1)]
    write_output(text_table(["#", "name", "kind", "category", "enabled"], rows))
    return Exit.OK
