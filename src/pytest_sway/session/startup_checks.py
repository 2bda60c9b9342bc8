"""What options need before anything is collected: an earlier result to read, a package, a file to write."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from pytest_sway.session.baseline import BASELINE, load_baseline
from pytest_sway.suites.saved_results import SavedResultError
from pytest_sway.version import __version__

_MEASURED_HERE = {
    "--sway-plan": "sway_plan",
    "--sway-limit": "sway_limit",
    "--sway-samples": "sway_samples",
    "--sway-trace": "sway_trace",
    "--sway-exact": "sway_exact",
    "--sway-cache-clear": "sway_cache_clear",
}
"""Options that a daemon does not take."""


def check_options(config: pytest.Config) -> None:
    """Read the baseline, begin the trace, look for plotly where a page is to be written, and for the daemon.

    Raises:
        pytest.UsageError: naming the option, what was found, and what to write.
    """
    _check_plotly(config.getoption("sway_html"))
    _read_baseline(config)
    _start_trace(config)
    _check_server(config)


def _check_server(config: pytest.Config) -> None:
    """A daemon answers, and nothing is asked for that only measuring in this process can give."""
    url = config.getoption("sway_server")
    if url is None:
        return
    if other := [flag for flag, name in _MEASURED_HERE.items() if config.getoption(name)]:
        raise pytest.UsageError(f"--sway-server={url} cannot be combined with {other[0]}; remove one of them")
    if config.getoption("numprocesses", None):
        raise pytest.UsageError(
            f"--sway-server={url} cannot be combined with -n, because the server runs one evaluation at a "
            "time; remove -n"
        )
    try:
        from pytest_sway.client import ServeClient, ServeClientError
    except ImportError as error:
        raise pytest.UsageError(
            f"--sway-server={url}: {error.name} is not installed; run pip install 'pytest-sway[serve]'"
        ) from None
    try:
        with ServeClient(url) as client:
            found = client.health().get("sway_version")
    except ServeClientError as error:
        raise pytest.UsageError(f"--sway-server={url}: {error}") from None
    if found != __version__:
        raise pytest.UsageError(
            f"--sway-server={url}: the server runs pytest-sway {found}, but this is pytest-sway "
            f"{__version__}. Their results may differ; install the same version on both sides"
        )


def _check_plotly(page: str | None) -> None:
    """A page needs plotly: an error now, not after an hour of measuring."""
    if page and importlib.util.find_spec("plotly") is None:
        from pytest_sway.reports.html.document import NEEDS

        raise pytest.UsageError(f"--sway-html={page}: {NEEDS}")


def _read_baseline(config: pytest.Config) -> None:
    path, drop = config.getoption("sway_baseline"), config.getoption("sway_fail_on_regression")
    if path is None:
        if drop is not None:
            raise pytest.UsageError(
                "--sway-fail-on-regression needs an earlier result to compare with; add "
                "--sway-baseline=RESULT.json"
            )
        return
    written = config.getoption("sway_json")
    if written and _overlap(*(Path(os.path.realpath(one)) for one in (written, path))):
        raise pytest.UsageError(
            f"--sway-json={written} would change the results in --sway-baseline={path}, so a failed run "
            "would become the next baseline. Write the new result to another path"
        )
    try:
        config.stash[BASELINE] = load_baseline(path, drop)
    except SavedResultError as error:
        raise pytest.UsageError(f"--sway-baseline: {error}") from None


def _overlap(one: Path, other: Path) -> bool:
    """Whether they are one file or folder, or one is a file in the other."""
    return one == other or (one.parent == other and other.is_dir()) or (other.parent == one and one.is_dir())


def _start_trace(config: pytest.Config) -> None:
    """Begin the trace's file anew; the workers only add to it."""
    path = config.getoption("sway_trace")
    if not path or config.option.collectonly:
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("", encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise pytest.UsageError(f"--sway-trace={path} cannot be written: {reason}") from None
