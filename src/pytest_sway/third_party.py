"""Hooks of others, asked plugin by plugin: an answer and an error then have a name."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HOOK_ERRORS = (Exception, SystemExit, pytest.fail.Exception, pytest.skip.Exception)
"""What may come out of someone else's hook; Ctrl-C is not among them."""


class HookImplementation(NamedTuple):
    """One plugin's implementation of a hook, not yet called.

    Attributes:
        key: the plugin's name in pytest's plugin manager, of which there is one.
        plugin: what the plugin is called in messages.
        call: the hook, restricted to that plugin; a list that holds its answer, if it gave one.
        file: where the implementation is written.
    """

    key: str
    plugin: str
    call: Any
    file: str

    def why(self, error: BaseException) -> str:
        """An error that it raised in one line, with the last place in its own file that led there."""
        text = str(error).strip().partition("\n")[0]
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame.lineno for frame in frames if frame.filename == self.file]
        place = f" ({Path(self.file).name}:{own[-1]})" if own else ""
        return f"{type(error).__name__}: {text}{place}" if text else f"{type(error).__name__}{place}"


def hook_implementations(config: pytest.Config, hook: Any) -> Iterator[HookImplementation]:
    """Every plugin that implements ``hook``, in the order in which pytest calls them.

    Args:
        config: pytest's.
        hook: of ``config.hook``, or of a node's ``ihook``, which leaves out the conftests of other folders.
    """
    manager = config.pluginmanager
    everyone = {found.plugin for found in getattr(config.hook, hook.name).get_hookimpls()}
    for found in reversed(hook.get_hookimpls()):
        alone = manager.subset_hook_caller(hook.name, everyone - {found.plugin})
        name = _name(config, found.plugin, found.plugin_name)
        file = getattr(getattr(found.function, "__code__", None), "co_filename", "")
        yield HookImplementation(found.plugin_name, name, alone, file)


def _name(config: pytest.Config, plugin: object, key: str) -> str:
    """A conftest's path from the rootdir; the class of an object that was given to ``pytest.main``."""
    path = Path(key)
    if path.name == "conftest.py":
        return str(path.relative_to(config.rootpath)) if path.is_relative_to(config.rootpath) else key
    if key == str(id(plugin)):
        return str(getattr(plugin, "__name__", type(plugin).__name__))
    return key
