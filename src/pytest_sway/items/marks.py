"""``@pytest.mark.sway("sway.yaml", threshold=0.6)``, and the parameters of every sway item."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import pytest

from pytest_sway.backends.base import AdapterKey
from pytest_sway.items.callspec import hide_callspec, params_of
from pytest_sway.items.collect import spec_entry_of, suite_of
from pytest_sway.items.item_key import DEFAULT_SPEC, MODEL_FIXTURES, InvalidMark, ItemKey, item_key
from pytest_sway.items.suite import Suite
from pytest_sway.spec.schema import check_weights

_CHAIN = ("sway_spec", *MODEL_FIXTURES)
_USAGE = '@pytest.mark.sway("sway.yaml", threshold=0.6, weights={"adherence": 1.0})'


class SuiteMark(NamedTuple):
    """A suite that a test function asks for, and its own gate; without a threshold the spec's holds."""

    suite: Suite
    threshold: float | None
    weights: dict[str, float] | None


@contextmanager
def fixtures_of_mark(collector: Any, name: str, function: FunctionType) -> Iterator[None]:
    """A marked function gets its fixtures whether it names them or not.

    They are named on it only while pytest makes its items: a base class's method is also collected for
    subclasses without the mark.
    """
    mark = _mark_with_spec(_mark_on(collector, function))
    if mark is None or not collector.istestfunction(function, name):
        yield
        return
    before = list(getattr(function, "pytestmark", []))
    code_first = "sway" in inspect.signature(function).parameters
    names = MODEL_FIXTURES if code_first else (*MODEL_FIXTURES, "sway_result")
    function.pytestmark = [*before, pytest.mark.usefixtures(*names).mark]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        function.pytestmark = before  # type: ignore[attr-defined]


def marked_suite(item: pytest.Function) -> Suite | None:
    """The suite that an item's mark names; None where none does, or where it cannot be followed."""
    mark = _mark_with_spec(item.get_closest_marker("sway"))
    marked = _suite_mark(item, mark) if mark is not None else None
    return marked.suite if isinstance(marked, SuiteMark) else None


def invalid_mark_reason(item: pytest.Item) -> str | None:
    """Why an item whose mark names a spec would run unmeasured; None where it is measured."""
    marks = [mark for mark in item.own_markers if mark.name == "sway" and _mark_with_spec(mark)]
    if len(marks) > 1:
        return f"the test has {len(marks)} sway marks, but a test can use only one spec; keep one mark"
    if "sway_backend" in params_of(item) or _mark_with_spec(item.get_closest_marker("sway")) is None:
        return None
    return (
        "the sway mark has no effect on this test. Put the mark on a plain test function or on a class that "
        "is not a unittest.TestCase, not on a pytest.param"
    )


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give an item's fixtures their keys: model, adapters, null plan, probe."""
    definition = metafunc.definition
    generated = spec_entry_of(metafunc.function)
    if generated is not None and definition.parent is not None:
        suite, keys = generated.suite, [ItemKey(definition.parent.nodeid, generated.suite, generated.entry)]
        _parametrize(metafunc, suite, suite.adapters, keys, [pytest.HIDDEN_PARAM])
        return
    mark = _mark_with_spec(definition.get_closest_marker("sway"))
    if mark is None:
        if (default := _known_default_suite(metafunc)) is not None:
            _parametrize(metafunc, default, default.adapters[:1], [], [])
        return
    if not set(MODEL_FIXTURES).issubset(metafunc.fixturenames):
        return
    marked = _suite_mark(definition, mark)
    if isinstance(marked, InvalidMark):
        metafunc.parametrize("sway_backend", [marked], indirect=True, ids=[pytest.HIDDEN_PARAM])
        return
    weights = tuple(sorted(marked.weights.items())) if marked.weights is not None else None
    keys = [
        ItemKey(definition.nodeid, marked.suite, entry, marked.threshold, weights)
        for entry in marked.suite.entries
    ]
    _parametrize(metafunc, marked.suite, marked.suite.adapters, keys, [key.entry.id for key in keys])


def limit_time(item: pytest.Item) -> None:
    """The entry's timeout as pytest-timeout's mark, where that plugin is; the user's own mark goes first.

    Of the function alone: loading a model is charged to no probe.
    """
    key = item_key(item)
    if key is None or not hasattr(item.config.hook, "pytest_timeout_set_timer"):
        return
    seconds = key.entry.probe.with_context(key.suite.probe_context(None)).timeout
    if seconds is not None and item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(seconds, func_only=True))


def hide_parameters(item: pytest.Item) -> None:
    """Show other plugins a plain function where an item is no ``function[id]`` of a Python file."""
    if isinstance(item, pytest.Function) and (spec_entry_of(item.function) or item.name == item.originalname):
        hide_callspec(item)


def drop_model_fixtures(item: pytest.Item) -> None:
    """An item that needs no model, or that a daemon measures, does not set its fixtures up."""
    key = item_key(item)
    served = item.config.getoption("sway_server") is not None
    if key is not None and (served or not key.entry.needs_model) and isinstance(item, pytest.Function):
        named = inspect.signature(item.function).parameters
        unneeded = [name for name in MODEL_FIXTURES if name not in named]
        item.fixturenames = [name for name in item.fixturenames if name not in unneeded]


def _known_default_suite(metafunc: pytest.Metafunc) -> Suite | None:
    """The suite that a code-first test without a mark will use, where that is known before it runs.

    With the same keys as the spec's own items it shares their model. Where a fixture is overridden or has
    parameters of the user's, or the file cannot be read, the fixtures find out when the test runs.
    """
    node, path = metafunc.definition, metafunc.config.rootpath / DEFAULT_SPEC
    manager = getattr(node.session, "_fixturemanager", None)  # pytest has no public name for it
    if manager is None or not path.is_file():
        return None
    overridden = any(len(manager.getfixturedefs(name, node) or ()) != 1 for name in _CHAIN)
    if overridden or not _own_parameters(node).isdisjoint(_CHAIN):
        return None
    try:
        return suite_of(node.config, node.ihook, path)
    except pytest.Collector.CollectError:
        return None


def _own_parameters(node: pytest.Item) -> set[str]:
    """Names that a test's own ``parametrize`` marks give values for."""
    names: set[str] = set()
    for mark in node.iter_markers("parametrize"):
        given = mark.args[0] if mark.args else mark.kwargs["argnames"]
        names.update(map(str.strip, given.split(",") if isinstance(given, str) else given))
    return names


def _parametrize(
    metafunc: pytest.Metafunc,
    suite: Suite,
    adapters: Sequence[AdapterKey],
    keys: list[ItemKey],
    ids: list[Any],
) -> None:
    hidden = [pytest.HIDDEN_PARAM]
    labels = hidden if len(adapters) == 1 else list(suite.adapter_labels.values())
    chain: dict[str, tuple[list[Any], list[Any]]] = {
        "sway_backend": ([suite.model], hidden),
        "sway_adapter": (list(adapters), labels),
        "sway_null": ([suite.plan], hidden),
    }
    for name, (values, value_ids) in chain.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, values, indirect=True, scope="session", ids=value_ids)
    if keys and "sway_result" in metafunc.fixturenames:
        metafunc.parametrize("sway_result", keys, ids=ids, indirect=True)


def _mark_with_spec(mark: pytest.Mark | None) -> pytest.Mark | None:
    """The mark, unless it only selects: a bare ``@pytest.mark.sway`` measures nothing."""
    return mark if mark is not None and (mark.args or mark.kwargs) else None


def _mark_on(collector: pytest.Collector, function: FunctionType) -> pytest.Mark | None:
    own = [m for m in getattr(function, "pytestmark", []) if m.name == "sway"]
    return own[0] if own else collector.get_closest_marker("sway")


def _suite_mark(definition: pytest.Function, mark: pytest.Mark) -> SuiteMark | InvalidMark:
    try:
        values = _mark_arguments(mark)
    except (TypeError, ValueError) as error:
        return InvalidMark(f"invalid sway mark: {error}; example: {_USAGE}")
    path = _spec_path(definition, values["spec"])
    if path is None:
        return InvalidMark(f"spec {values['spec']!r} was not found next to the test file or in the rootdir")
    try:
        suite = suite_of(definition.config, definition.ihook, path)
    except pytest.Collector.CollectError as error:
        return InvalidMark(str(error))
    return SuiteMark(suite, values["threshold"], values["weights"])


def _mark_arguments(mark: pytest.Mark) -> dict[str, Any]:
    """The mark's arguments, checked; raises TypeError or ValueError."""

    def sway(spec: Any, threshold: Any = None, weights: Any = None) -> None: ...

    bound = inspect.signature(sway).bind(*mark.args, **mark.kwargs)
    bound.apply_defaults()
    values = dict(bound.arguments)
    threshold, weights = values["threshold"], values["weights"]
    if not isinstance(values["spec"], (str, Path)):
        raise TypeError(f"spec must be a path, not {values['spec']!r}")
    if threshold is not None:
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
            raise TypeError(f"threshold must be a number, not {threshold!r}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be between 0 and 1, not {threshold!r}")
    if weights is not None:
        if not isinstance(weights, dict):
            raise TypeError(f"weights must be a mapping, not {weights!r}")
        check_weights(weights)
    return values


def _spec_path(definition: pytest.Function, spec: str | Path) -> Path | None:
    """The named spec: beside the test's file, else in pytest's rootdir."""
    for folder in (definition.path.parent, definition.config.rootpath):
        try:
            if (folder / spec).is_file():
                return (folder / spec).resolve()
        except (OSError, ValueError):  # a path that no file can have
            return None
    return None
