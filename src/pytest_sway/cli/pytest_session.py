"""One run of pytest in this process, whose configuration is ours and not the project's."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest

_OURS = "pytest_sway"
_KEPT_PLUGINS = ("xdist", "timeout")
"""Entry points of pytest's plugins that an option of ours, or a spec's ``timeout``, needs."""
_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")


class Outcomes:
    """A plugin that sees whether anything was measured, and why nothing could be.

    Attributes:
        called: items that came as far as their measure.
        failed_setups: items that did not.
        faults: messages of specs that could not be read.
    """

    def __init__(self) -> None:
        self.called = 0
        self.failed_setups = 0
        self.faults: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the message of a spec that cannot be read."""
        if report.failed:
            self.faults.append(str(report.longrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the phases that say it."""
        self.called += report.when == "call"
        self.failed_setups += report.when == "setup" and report.failed

    @property
    def nothing_measured(self) -> bool:
        """Whether no item came as far as its measure: no model, or no adapter."""
        return not self.called and bool(self.failed_setups)


def root_of(spec: Path) -> Path:
    """Pytest's rootdir for a spec: the working directory, or the spec's folder where that is elsewhere."""
    here = Path.cwd()
    return here if spec.resolve().is_relative_to(here) else spec.resolve().parent


def run_pytest(root: Path, arguments: Sequence[str], plugins: Sequence[object] = ()) -> int:
    """Run pytest; its exit status.

    The project's ini file, ``PYTEST_ADDOPTS`` and installed plugins do not count: an empty ini file is used,
    and plugins are pytest-sway, those that need pytest-sway themselves (kinds of probes of your own),
    pytest-xdist and pytest-timeout. A conftest beside the spec is read as ever.

    Args:
        root: pytest's rootdir, above which no conftest is looked for.
        arguments: of pytest's command line.
        plugins: objects with hooks.
    """
    with tempfile.TemporaryDirectory(prefix="sway-") as scratch, _environment():
        ini = Path(scratch) / "pytest.ini"
        ini.write_text("[pytest]\n", encoding="utf-8")
        own = ["-c", str(ini), f"--rootdir={root}", f"--confcutdir={root}", "-p", "no:cacheprovider"]
        own += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # this package is imported already
        loaded = [part for name in _plugin_names() for part in ("-p", name)]
        return int(pytest.main([*own, *loaded, *arguments], plugins=list(plugins)))


def _plugin_names() -> list[str]:
    """Entry points that are loaded: ours, what it needs, and what needs it."""
    found = []
    for point in entry_points(group="pytest11"):
        required = (point.dist.requires or []) if point.dist is not None else []
        names = {re.split(r"[^\w.-]", one, maxsplit=1)[0].lower() for one in required}
        if point.name in (_OURS, *_KEPT_PLUGINS) or "pytest-sway" in names:
            found.append(point.name)
    return found


@contextmanager
def _environment() -> Iterator[None]:
    """While it lasts, pytest loads no plugin by itself and reads no options from the environment."""
    before = {name: os.environ.pop(name, None) for name in _VARIABLES}
    before["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
