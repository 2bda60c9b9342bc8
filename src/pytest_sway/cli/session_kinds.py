"""The kinds of probes that a spec may name: ours, and those of plugins and of the conftests above it."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.cli.command import CommandError

if TYPE_CHECKING:
    import pytest

    from pytest_sway.probes.registry import Kinds


class _KindsOfSession:
    """A plugin that asks a session for its kinds, and collects nothing.

    Attributes:
        kinds: None until the session has started, or where a plugin gives what cannot be used.
        fault: what is wrong with that plugin.
    """

    def __init__(self) -> None:
        self.kinds: Kinds | None = None
        self.fault = ""

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Ask the hooks."""
        from pytest_sway.items.probe_kinds import KindsError, kinds_for

        try:
            self.kinds = kinds_for(session.config, session.config.hook)
        except KindsError as error:
            self.fault = str(error)

    def pytest_collection(self) -> bool:
        """Import no test."""
        return True


def add_spec_argument(parser: argparse.ArgumentParser) -> None:
    """``[SPEC]``, for :func:`kinds_of`."""
    parser.add_argument(
        "spec",
        nargs="?",
        metavar="SPEC",
        help="Include the probe kinds that are defined in the conftest.py files of this spec's project",
    )


def kinds_of(spec: str | None) -> Kinds:
    """The kinds that a spec may name; those of installed plugins alone where none is given.

    Raises:
        CommandError: there is no such file, or a plugin or a conftest cannot be used.
    """
    from pytest_sway.pytest_session import run_pytest

    if spec is not None and not Path(spec).is_file():
        raise CommandError(f"file {spec} does not exist")
    session = _KindsOfSession()
    with tempfile.TemporaryDirectory() as empty:
        run_pytest(Path(spec or empty), ["-p", "no:terminal"], [session])
    if session.kinds is None:
        raise CommandError(session.fault or "pytest could not start; see its error above")
    return session.kinds
