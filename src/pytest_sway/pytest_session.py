"""One run of pytest in this process, whose configuration is ours and not the project's."""

from __future__ import annotations

import glob
import io
import os
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from pytest_sway.result import SuiteResult
from pytest_sway.session.controller import UNWRITTEN
from pytest_sway.session_error import SessionError

_OURS = "pytest-sway"
_KEPT_PLUGINS = ("pytest_sway", "xdist", "timeout")
"""Entry points: ours, and those that an option of ours or a spec's ``timeout`` needs."""
_VARIABLES = {"PYTEST_ADDOPTS": None, "PYTEST_PLUGINS": None, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""While pytest runs: it loads no plugin by itself and reads no options from the environment."""
_PROJECT_FILES = ("pyproject.toml", "pytest.ini", "setup.cfg", "tox.ini", ".git")
"""What the top of a project holds."""


class Outcomes:
    """A plugin that sees what became of a run.

    Attributes:
        called: items that came as far as their measure.
        faults: messages of specs that could not be read.
        is_interrupted: whether Ctrl-C ended it.
        suites: the results.
        unwritten: messages about reports that could not be written.
    """

    def __init__(self) -> None:
        self.called = 0
        self.faults: list[str] = []
        self.is_interrupted = False
        self.suites: list[SuiteResult] = []
        self.unwritten: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the message of a spec that cannot be read."""
        if report.failed:
            self.faults.append(str(report.longrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the items that were measured."""
        self.called += report.when == "call"

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell Ctrl-C from what pytest ends a session with, which is derived from it."""
        self.is_interrupted = excinfo.type is KeyboardInterrupt

    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Keep what could not be written."""
        self.unwritten = config.stash.get(UNWRITTEN, [])

    def pytest_sway_report(self, suites: Sequence[SuiteResult]) -> None:
        """Keep the results."""
        self.suites = list(suites)


def run_pytest(
    spec: Path, arguments: Sequence[str], plugins: Sequence[object] = (), *, root: Path | None = None
) -> int:
    """Run pytest on a spec, or on an empty folder; its exit status.

    The project's ini file, ``PYTEST_ADDOPTS`` and installed plugins do not count: an ini file of ours is
    used, and plugins are pytest-sway, those that need pytest-sway themselves (kinds of probes of your own),
    pytest-xdist and pytest-timeout. The conftests from the top of the spec's project down to it are read.

    Args:
        spec: what is collected; a file is a spec whatever its name is.
        arguments: of pytest's command line.
        plugins: objects with hooks.
        root: folder above which no conftest is read; by default the top of the spec's project.

    Raises:
        SessionError: the path is one that pytest cannot be given, or a conftest ended the process.
    """
    if any(part in str(spec) for part in ("[", "::")):
        raise SessionError(
            f"{spec}: pytest does not accept a path with [ or ::; rename the file or folder, or use a "
            "symbolic link to it"
        )
    root = root or project_of(spec)
    with tempfile.TemporaryDirectory(prefix="sway-") as scratch, environment(_VARIABLES):
        ini = Path(scratch) / "pytest.ini"
        names = ["*.sway.yaml", glob.escape(spec.name)]
        ini.write_text(f"[pytest]\nsway_files = {shlex.join(names)}\n", encoding="utf-8")
        own = ["-c", str(ini), f"--rootdir={root}", f"--confcutdir={root}", "-p", "no:cacheprovider"]
        own += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # this package is imported already
        loaded = [part for name in _plugin_names() for part in ("-p", name)]
        try:
            return int(pytest.main([*own, *loaded, *arguments, str(spec)], plugins=list(plugins)))
        except SystemExit as error:
            raise SessionError(f"{spec}: a conftest or a plugin ended the run ({error})") from error


def run_quietly(
    spec: Path,
    arguments: Sequence[str],
    outcomes: Outcomes,
    *,
    further: Sequence[object] = (),
    root: Path | None = None,
) -> list[SuiteResult]:
    """Run pytest on a spec and show nothing of it; the suites' results.

    Args:
        spec: as for :func:`run_pytest`.
        arguments: of pytest's command line.
        outcomes: sees what becomes of the run.
        further: other objects with hooks.
        root: as for :func:`run_pytest`.

    Raises:
        SessionError: the spec cannot be read, or nothing was measured.
        KeyboardInterrupt: Ctrl-C ended it.
    """
    written = io.StringIO()
    with redirect_stdout(written), redirect_stderr(written):
        run_pytest(spec, ["-W", "ignore", *arguments], [outcomes, *further], root=root)
    if outcomes.is_interrupted:
        raise KeyboardInterrupt
    if outcomes.faults:
        raise SessionError("\n".join(outcomes.faults))
    if not outcomes.suites:
        raise SessionError(f"{spec}: nothing was measured; pytest wrote:\n{written.getvalue().strip()}")
    return outcomes.suites


def project_of(spec: Path) -> Path:
    """The nearest folder above a spec that looks like the top of a project, else the spec's own."""
    folder = spec.resolve() if spec.is_dir() else spec.resolve().parent
    tops = [one for one in (folder, *folder.parents) if any((one / name).exists() for name in _PROJECT_FILES)]
    return tops[0] if tops else folder


def _plugin_names() -> list[str]:
    """Entry points that are loaded: ours, what it needs, and what needs it."""
    found = []
    for point in entry_points(group="pytest11"):
        required = (point.dist.requires or []) if point.dist is not None else []
        if point.name in _KEPT_PLUGINS or _OURS in map(_normalised, required):
            found.append(point.name)
    return found


def _normalised(requirement: str) -> str:
    """The name of a package that is required whatever extras are asked for; empty for another one."""
    if re.search(r";.*\bextra\b", requirement):
        return ""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()


@contextmanager
def environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Environment variables for a while; None is for one that is not set."""
    before = {name: os.environ.get(name) for name in variables}
    _set_variables(variables)
    try:
        yield
    finally:
        _set_variables(before)


def _set_variables(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
