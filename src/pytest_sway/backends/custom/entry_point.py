"""Imports and calls what ``entry_point: package.module:Class`` names."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import BackendError
from pytest_sway.text.message_parts import describe, describe_error, did_you_mean, shorten_list

_FORM = re.compile(r"(?P<module>\w+(\.\w+)*):(?P<names>\w+(\.\w+)*)")
_EXAMPLE = "write package.module:Class, e.g. entry_point: my_backend:MyBackend"
_HOW_TO_FIND = (
    "to import a file next to the spec, add its folder to pytest's option pythonpath (e.g. "
    'pythonpath = ["."] under [tool.pytest.ini_options] in pyproject.toml; paths are relative to the rootdir)'
)


def import_entry_point(text: str | None) -> Any:
    """The object that an entry point names.

    ``sys.path`` is used as it is: a spec's folder is not added, so that an evaluation imports what the
    project's own tests import.

    Args:
        text: ``package.module:Class``; behind the colon an attribute of an attribute may be named.

    Raises:
        BackendError: it is missing or malformed, or there is no such object; in one line.
    """
    if text is None or not text.strip():
        raise BackendError(
            f"models.ft.entry_point is missing, but kind: custom needs it; {_EXAMPLE} (or provide the "
            "backend with the fixture sway_backend or the hook pytest_sway_backend)"
        )
    form = _FORM.fullmatch(text)
    if form is None:
        raise BackendError(f"models.ft.entry_point: found {describe(text)}; {_EXAMPLE}")
    target: Any = _import_module(form["module"])
    path = form["module"]
    for name in form["names"].split("."):
        if not hasattr(target, name):
            owner = f"{path} ({target.__file__})" if getattr(target, "__file__", None) else path
            raise BackendError(
                f"models.ft.entry_point: {owner} has no {name!r}{did_you_mean(name, dir(target))}"
            )
        target, path = getattr(target, name), f"{path}.{name}"
    return target


def call_entry_point(factory: Callable[..., Any], text: str, **arguments: Any) -> Any:
    """What the class or function of an entry point returns.

    Raises:
        BackendError: its own, or one that says what it raised, in one line.
    """
    try:
        return factory(**arguments)
    except BackendError:
        raise
    except (Exception, SystemExit) as error:  # a script's code may exit
        raise BackendError(f"models.ft.entry_point: {text} raised {describe_error(error)}") from error


def _import_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise BackendError(_failed_import(name, error)) from error
        raise BackendError(f"models.ft.entry_point: {_missing_module(name, error.name)}") from error
    except (Exception, SystemExit) as error:  # a module runs any code when it is imported
        raise BackendError(_failed_import(name, error)) from error


def _missing_module(name: str, missing: str) -> str:
    """Which part of a module's name was not found, and where it was looked for."""
    package, _, module = missing.rpartition(".")
    if package:  # it was imported
        return f"{package} ({getattr(sys.modules[package], '__file__', None)}) has no module {module!r}"
    within = f" (of {name})" if missing != name else ""
    return f"there is no module {missing!r}{within} in {_searched_folders()}; {_HOW_TO_FIND}"


def _failed_import(name: str, error: BaseException) -> str:
    missing = f"; install {error.name!r}" if isinstance(error, ModuleNotFoundError) and error.name else ""
    return f"models.ft.entry_point: importing {name} raised {describe_error(error)}{missing}"


def _searched_folders() -> str:
    """The entries of ``sys.path`` that are not Python's own."""
    own = [Path(prefix).resolve() for prefix in {sys.prefix, sys.base_prefix}]
    searched = [Path(entry).resolve() for entry in sys.path]  # an empty entry is the working directory
    others = [str(path) for path in searched if not any(path.is_relative_to(prefix) for prefix in own)]
    return f"sys.path ({shorten_list(others)})" if others else "sys.path (only installed packages)"
