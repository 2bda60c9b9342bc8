"""A spec file becomes a module of ordinary test functions; nothing else is special.

:class:`SpecFile` generates one function per entry, whose code object points into the YAML, so that
locations, ``-k``, ``::id``, ``--lf``, ``-n`` and third-party plugins work as for any test.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import pytest

from pytest_sway.items.item_key import MODEL_FIXTURES
from pytest_sway.items.probe_kinds import KindsError, kinds_for
from pytest_sway.items.stash_keys import CHANGE_SUITE
from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.items.suite_entries import SuiteEntry
from pytest_sway.probes.registry import Kinds
from pytest_sway.result import SwayWarning
from pytest_sway.spec.problems import SpecError

_GENERATED = "__sway_entry__"
_SUITES = pytest.StashKey[dict[tuple[Path, Kinds], Suite]]()
"""Specs by path and by the kinds that they may name, each read once per session."""


class SpecEntry(NamedTuple):
    """What a generated function stands for."""

    suite: Suite
    entry: SuiteEntry


class SpecFile(pytest.Module):
    """One ``sway.yaml``; its generated module holds a function per entry."""

    def _getobj(self) -> ModuleType:
        suite = suite_of(self.config, self.ihook, self.path)
        module = ModuleType(self.path.stem)
        for entry in suite.entries:
            setattr(module, entry.id, _function(suite, entry, module.__name__))
        return module

    def istestfunction(self, obj: object, name: str) -> bool:
        """Only generated functions are tests, whatever their name."""
        return spec_entry_of(obj) is not None

    def istestclass(self, obj: object, name: str) -> bool:
        """A spec has no classes."""
        return False


def spec_entry_of(function: object) -> SpecEntry | None:
    """What a function stands for, if it was generated from a spec."""
    found = getattr(function, _GENERATED, None)
    return found if isinstance(found, SpecEntry) else None


def suite_of(config: pytest.Config, hook: Any, path: Path) -> Suite:
    """The suite of a spec, read once per session; its notes become warnings.

    (Where a conftest registers kinds, a spec is read once where the conftest applies and once elsewhere.)

    Args:
        config: pytest's.
        hook: the ``ihook`` of the node that names the spec: which conftests apply.
        path: of the spec.

    Raises:
        pytest.Collector.CollectError: with every problem of the file, and no traceback.
    """
    known = config.stash.setdefault(_SUITES, {})
    try:
        kinds = kinds_for(config, hook)
    except KindsError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    key = (path, kinds)
    if key not in known:
        try:
            suite = load_suite(
                path,
                config.getoption("sway_adapter"),
                kinds,
                samples=config.getoption("sway_samples"),
                profile=config.getoption("sway_profile"),
            )
            change = config.stash.get(CHANGE_SUITE, None)
            known[key] = suite if change is None else change(suite)
        except SpecError as error:
            raise pytest.Collector.CollectError(str(error)) from None
        try:
            for note in known[key].warnings:
                warnings.warn_explicit(SwayWarning(note.message), None, str(path), note.line)
        except SwayWarning as error:  # -W error
            raise pytest.Collector.CollectError(f"{path.name}: {error}") from None
    return known[key]


def _body() -> None:
    """Nothing: the measure and its verdict come from the wrapper around every call."""


def _function(suite: Suite, entry: SuiteEntry, module: str) -> FunctionType:
    code = _body.__code__.replace(co_filename=str(suite.path), co_firstlineno=entry.line, co_name=entry.id)
    function = FunctionType(code, {}, entry.id)
    function.__module__ = module
    setattr(function, _GENERATED, SpecEntry(suite, entry))
    fixtures = pytest.mark.usefixtures(*MODEL_FIXTURES, "sway_result")
    function.pytestmark = [pytest.mark.sway.mark, fixtures.mark]  # type: ignore[attr-defined]
    return function
