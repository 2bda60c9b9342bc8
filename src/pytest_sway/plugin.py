"""The pytest11 entry point: hooks that import what they need when they need it.

A project that does not use sway pays for this file and its fixtures alone: no numpy, no pydantic, no
yaml; torch is not imported before a fixture asks for a model.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Generator
from pathlib import Path
from types import FunctionType
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
from pytest_sway.items.item_key import MODEL_FIXTURES
from pytest_sway.items.stash_keys import INVALID_MARK, MEASURED_IN_TEST, MEASUREMENT_CONTEXT

_FIXTURES = frozenset(
    {"sway", "sway_adapter", "sway_backend", "sway_engine", "sway_null", "sway_result", "sway_spec"}
)
_STARTUP_OPTIONS = ("sway_html", "sway_baseline", "sway_fail_on_regression", "sway_trace", "sway_server")
"""Options for which something is read or begun before anything is collected."""
_DLM_SWAY = "sway"
"""Entry point of dlm-sway, which handles the same mark."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare our hooks."""
    from pytest_sway import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare our options."""
    from pytest_sway.options import add_options

    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and in the reporting process the controller."""
    if config.pluginmanager.has_plugin(_DLM_SWAY):
        raise pytest.UsageError(
            "dlm-sway and pytest-sway are both installed, and both handle @pytest.mark.sway. Run "
            "pip uninstall dlm-sway, or choose one of them for this run: -p no:sway -p pytest_sway.plugin "
            "runs pytest-sway, -p no:pytest_sway runs dlm-sway"
        )
    config.addinivalue_line(
        "markers",
        "sway(spec, threshold=None, weights=None): run each probe of the spec as a separate test; the gate "
        "fails if the composite score is below threshold (default: the threshold in the spec)",
    )
    if hasattr(config, "workerinput"):
        return
    from pytest_sway.session.controller import Controller

    if any(map(os.path.isdir, config.args)):
        from pytest_sway.session.unmatched_arguments import check_arguments

        check_arguments(config)
    if any(config.getoption(name) is not None for name in _STARTUP_OPTIONS):
        from pytest_sway.session.startup_checks import check_options

        check_options(config)
    if config.getoption("sway_cache_clear") and not config.option.collectonly:
        _clear_cache()
    config.pluginmanager.register(Controller(config), "sway-controller")
    if hasattr(config.hook, "pytest_xdist_make_scheduler"):  # xdist, under whatever name it was loaded
        from pytest_sway.session.xdist_workers import Workers

        config.pluginmanager.register(Workers(config), "sway-workers")


def _clear_cache() -> None:
    import sqlite3

    from pytest_sway.engine.disk_cache import clear

    try:
        clear()
    except (OSError, sqlite3.Error) as error:
        raise pytest.UsageError(f"--sway-cache-clear: the answer cache cannot be cleared: {error}") from None


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
    from pytest_sway.regular_files import read_regular

    try:
        content = read_regular(path)
    except OSError:
        return False
    keys = {line.partition(b":")[0] for line in content.splitlines()}
    return {b"models", b"suite"} <= keys


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Collector, name: str, obj: object
) -> Generator[None, Any, Any]:
    """A marked function gets its fixtures before pytest reads them."""
    function = _plain_function(obj)
    if function is None:
        return (yield)
    marks = getattr(function, "pytestmark", [])
    if not any(mark.name == "sway" for mark in marks) and not collector.get_closest_marker("sway"):
        return (yield)
    from pytest_sway.items.marks import fixtures_of_mark

    with fixtures_of_mark(collector, name, function):
        return (yield)


def _plain_function(obj: object) -> FunctionType | None:
    """The function of a function, a static method or a class method; None for anything else.

    Nothing else may be asked for attributes: a project's lazy proxy would wake up, or raise.
    """
    inner = obj.__func__ if isinstance(obj, (staticmethod, classmethod)) else obj
    return inner if isinstance(inner, FunctionType) else None


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
    from pytest_sway.items import marks
    from pytest_sway.items.suite_planning import plan_suite
    from pytest_sway.session.plan import plan_of

    if (reason := marks.invalid_mark_reason(item)) is not None:
        item.stash[INVALID_MARK] = reason
    if uses:
        item.add_marker("sway")
    plan_suite(item, plan_of(item.config))
    marks.drop_model_fixtures(item)
    marks.limit_time(item)
    marks.hide_parameters(item)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None, Any, Any]:
    """Let pytest order items by the parameters of their session fixtures."""
    with callspecs_visible(items):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan the items that every deselection left; first, since xdist sends a worker's items in this hook."""
    from pytest_sway.session.plan import PLAN

    plan = session.config.stash.get(PLAN, None)
    if plan is None:
        return
    from pytest_sway.items.suite_planning import assign_items

    assign_items(session.items, plan)
    if hasattr(session.config, "workerinput"):
        from pytest_sway.session.xdist_workers import send_plan
        from pytest_sway.thread_limits import expect_subjects

        expect_subjects(len(plan.subjects))
        send_plan(session.config)


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
    if INVALID_MARK in item.stash:
        pytest.fail(item.stash[INVALID_MARK], pytrace=False)
    with callspecs_visible([item]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Measure before the body, raise the verdict after it."""
    if "sway_result" not in pyfuncitem.funcargs:
        return (yield)
    from pytest_sway.items.outcome import call_test

    return (yield from call_test(pyfuncitem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put results on the report."""
    report = yield
    if MEASURED_IN_TEST in item.stash or "sway_result" in getattr(item, "fixturenames", ()):
        from pytest_sway.items.outcome import attach_results

        attach_results(item, call, report)
        if report.when == "teardown" and MEASUREMENT_CONTEXT in item.stash:
            del item.stash[MEASUREMENT_CONTEXT]
    return report
