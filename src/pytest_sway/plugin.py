"""The pytest11 entry point: options, marks, and hooks that import their room when it is needed.

A project that does not use sway pays for this file and its fixtures alone: no numpy, no pydantic, no
yaml; torch is not imported before a fixture asks for a model.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.items.callspec import callspecs_visible
from pytest_sway.items.fixtures import (  # noqa: F401 - pytest finds fixtures in a plugin's namespace
    sway,
    sway_adapter,
    sway_backend,
    sway_engine,
    sway_null,
    sway_result,
    sway_spec,
)
from pytest_sway.items.stash_keys import (
    MEASURED,
    MEASUREMENT_CONTEXT,
    MODEL_FIXTURES,
    UNFOLLOWED,
    plain_function,
)

_FIXTURES = frozenset(
    {"sway", "sway_adapter", "sway_backend", "sway_engine", "sway_null", "sway_result", "sway_spec"}
)
_PATTERNS = ["sway.yaml", "sway.yml", "*.sway.yaml", "*.sway.yml"]
_CHECKED = {
    "sway_threshold": None,
    "sway_weights": None,
    "sway_baseline": None,
    "sway_fail_on_regression": None,
    "sway_limit": None,
    "sway_html": None,
    "sway_trace": None,
    "sway_memory": "1GiB",
}
"""Options whose values are looked at before anything runs, where they are not the defaults."""
_RIVAL = "sway"
"""Entry point of dlm-sway, which handles the same mark."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare our hooks."""
    from pytest_sway import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options start with ``--sway-``; help begins with a capital and ends without a full stop."""
    group = parser.getgroup("sway", "evaluation of fine-tuned adapters (pytest-sway)")
    group.addoption(
        "--sway-adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="Evaluate this adapter instead of the spec's models.ft.adapter (repeatable; patterns too)",
    )
    group.addoption(
        "--sway-threshold",
        default=None,
        metavar="SCORE",
        help="Smallest composite score that passes the gate, in [0, 1]",
    )
    group.addoption(
        "--sway-weights",
        default=None,
        metavar="CATEGORY=WEIGHT,…",
        help="Category weights, merged over the spec's",
    )
    group.addoption("--sway-json", default=None, metavar="PATH", help="Write the result as JSON, schema 1")
    group.addoption("--sway-md", default=None, metavar="PATH", help="Write the report as Markdown")
    group.addoption(
        "--sway-step-summary",
        action="store_true",
        help="Append the Markdown to the file that GITHUB_STEP_SUMMARY names, where it is set",
    )
    group.addoption(
        "--sway-baseline",
        default=None,
        metavar="PATH",
        help="Compare with an earlier result: a file that --sway-json wrote, or its folder",
    )
    group.addoption(
        "--sway-fail-on-regression",
        default=None,
        metavar="DROP",
        help="Fail where a score or the composite is this much below the baseline's, or a probe was lost",
    )
    group.addoption(
        "--sway-html", default=None, metavar="PATH", help="Write the result as one page that needs no network"
    )
    group.addoption(
        "--sway-trace",
        default=None,
        metavar="PATH",
        help="Write what was asked of the models as JSON lines: probe, view, milliseconds, known or not",
    )
    group.addoption(
        "--sway-memory",
        default="1GiB",
        metavar="SIZE",
        help="Memory that a batch may take beside the model's weights (default: 1GiB)",
    )
    group.addoption(
        "--sway-exact",
        action="store_true",
        help="Score every text by itself, so that no number depends on what else was asked (slower)",
    )
    group.addoption(
        "--sway-strict",
        action="store_true",
        help="Let a warning fail its probe and the gate",
    )
    group.addoption(
        "--sway-limit",
        default=None,
        metavar="N",
        help="A quick look: at most N prompts, cases or sections of each probe; the gate is off",
    )
    group.addoption(
        "--sway-cache-clear",
        action="store_true",
        help="Forget the answers of earlier sessions before this one",
    )
    parser.addini(
        "sway_junit_probes",
        "Each probe's verdict, score, raw and z as properties of its testcase, which strict readers refuse",
        type="bool",
        default=False,
    )
    parser.addini("sway_files", "Names of spec files (globs)", type="args", default=_PATTERNS)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and in the reporting process the controller."""
    if config.pluginmanager.has_plugin(_RIVAL):
        raise pytest.UsageError(
            "dlm-sway and pytest-sway are both installed and both handle @pytest.mark.sway: "
            "pip uninstall dlm-sway; or choose per run: -p no:sway -p pytest_sway.plugin for pytest-sway, "
            "-p no:pytest_sway for dlm-sway"
        )
    config.addinivalue_line(
        "markers",
        "sway(spec, threshold=None, weights=None): measure every probe of a sway.yaml; each becomes one "
        "item, and the suite must reach the threshold (by default the spec's)",
    )
    if hasattr(config, "workerinput"):
        return
    from pytest_sway.session.controller import Controller

    if any(map(os.path.isdir, config.args)):
        from pytest_sway.session.unmatched_arguments import check_arguments

        check_arguments(config)
    if any(config.getoption(name) != default for name, default in _CHECKED.items()):
        from pytest_sway.options import check

        check(config)  # a bad value is told before anything runs
    if config.getoption("sway_cache_clear") and not config.option.collectonly:
        _clear_cache()
    config.pluginmanager.register(Controller(config), "sway-controller")
    if hasattr(config.hook, "pytest_xdist_make_scheduler"):  # xdist, under whatever name it was loaded
        from pytest_sway.session.xdist import Workers

        config.pluginmanager.register(Workers(config), "sway-workers")


def _clear_cache() -> None:
    import sqlite3

    from pytest_sway.engine.answer_store import clear

    try:
        clear()
    except (OSError, sqlite3.Error) as error:
        raise pytest.UsageError(f"--sway-cache-clear: the answers cannot be forgotten: {error}") from None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A spec file is a module of generated tests."""
    patterns = parent.config.getini("sway_files")
    named = any(fnmatch.fnmatch(file_path.name, pattern) for pattern in patterns)
    if not named and not (parent.session.isinitpath(file_path) and _is_spec(file_path)):
        return None
    from pytest_sway.items.collect import SpecFile

    file: pytest.Collector = SpecFile.from_parent(parent, path=file_path, nodeid=_nodeid(file_path, parent))
    return file


def _nodeid(path: Path, parent: pytest.Collector) -> str | None:
    """Node id of a spec outside pytest's rootdir, where pytest's own would be empty; else pytest's."""
    root = parent.config.rootpath
    if path.is_relative_to(root):
        return None
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # on another drive
        return path.as_posix()


def _is_spec(path: Path) -> bool:
    """Whether a file of another name, given on the command line, is a spec by what it holds."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    keys = {line.partition(b":")[0] for line in path.read_bytes().splitlines()}
    return {b"models", b"suite"} <= keys


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Collector, name: str, obj: object
) -> Generator[None, Any, Any]:
    """A marked function gets its fixtures before pytest reads them."""
    function = plain_function(obj)
    if function is None:
        return (yield)
    marks = getattr(function, "pytestmark", [])
    if not any(mark.name == "sway" for mark in marks) and not collector.get_closest_marker("sway"):
        return (yield)
    from pytest_sway.items.marks import given_fixtures

    with given_fixtures(collector, name, function):
        return (yield)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each probe of a spec is one item."""
    if not set(MODEL_FIXTURES).isdisjoint(metafunc.fixturenames):
        from pytest_sway.items.marks import parametrize

        parametrize(metafunc)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what uses a sway fixture, and plan its suite."""
    uses = not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
    if not uses and item.get_closest_marker("sway") is None:
        return
    from pytest_sway.items.item_plan import plan_suite
    from pytest_sway.items.marks import hide_parameters, limit_time, prune, why_unfollowed
    from pytest_sway.session.plan import plan_of

    if (reason := why_unfollowed(item)) is not None:
        item.stash[UNFOLLOWED] = reason
    if uses:
        item.add_marker("sway")
    plan_suite(item, plan_of(item.config))
    prune(item)
    limit_time(item)
    hide_parameters(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, Any, Any]:
    """Let pytest order items by the parameters of their session fixtures."""
    with callspecs_visible(items):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """What is left after every deselection is what was selected; told before xdist tells its items."""
    from pytest_sway.session.plan import PLAN, assignments_of, select
    from pytest_sway.thread_limits import expect_subjects

    if PLAN not in session.config.stash:
        return
    from pytest_sway.items.item_plan import assignment_of

    for item in session.items:
        if (place := assignment_of(item)) is not None:
            select(session.config, item.nodeid, place)
    if hasattr(session.config, "workerinput"):
        from pytest_sway.session.xdist import send

        expect_subjects(len({place.subject for place in assignments_of(session.config).values()}))
        send(session.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Where an item of ours imports torch, its threads sleep while they wait for each other."""
    if _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
        return (yield)
    from pytest_sway.thread_limits import sleeping_waits

    with sleeping_waits():
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let pytest set fixtures up; a mark that cannot be followed is a failure, never an unmeasured pass."""
    if UNFOLLOWED in item.stash:
        pytest.fail(item.stash[UNFOLLOWED], pytrace=False)
    with callspecs_visible([item]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Measure before the body, raise the verdict after it."""
    if "sway_result" not in pyfuncitem.funcargs:
        return (yield)
    from pytest_sway.items.outcome import call

    return (yield from call(pyfuncitem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put results on the report."""
    report = yield
    if MEASURED in item.stash or "sway_result" in getattr(item, "fixturenames", ()):
        from pytest_sway.items.outcome import attach

        attach(item, call, report)
        if report.when == "teardown" and MEASUREMENT_CONTEXT in item.stash:
            del item.stash[MEASUREMENT_CONTEXT]
    return report
