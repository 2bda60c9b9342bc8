"""Third-party hooks, called one plugin at a time, so that messages can name the plugin."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HOOK_ERRORS = (Exception, SystemExit, pytest.fail.Exception, pytest.skip.Exception)
"""What a third-party hook may raise; Ctrl-C is not among them."""


class HookImplementation(NamedTuple):
    """One plugin's implementation of a hook, not yet called.

    Attributes:
        key: the plugin's name in pytest's plugin manager, of which there is one.
        plugin_name: what the plugin is called in messages.
        call: the hook, restricted to that plugin; a list that holds its answer, if it gave one.
        file: where the implementation is written.
    """

    key: str
    plugin_name: str
    call: Any
    file: str

    def error_text(self, error: BaseException) -> str:
        """An error that it raised, in one line, with the last line of its own file in the traceback."""
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
    plugins = {one.plugin for one in getattr(config.hook, hook.name).get_hookimpls()}
    for one in reversed(hook.get_hookimpls()):
        call = manager.subset_hook_caller(hook.name, plugins - {one.plugin})
        name = _display_name(config, one.plugin, one.plugin_name)
        file = getattr(getattr(one.function, "__code__", None), "co_filename", "")
        yield HookImplementation(one.plugin_name, name, call, file)


def _display_name(config: pytest.Config, plugin: object, key: str) -> str:
    """A conftest's path from the rootdir; the class of an object that was given to ``pytest.main``."""
    path = Path(key)
    if path.name == "conftest.py":
        return str(path.relative_to(config.rootpath)) if path.is_relative_to(config.rootpath) else key
    if key == str(id(plugin)):
        return str(getattr(plugin, "__name__", type(plugin).__name__))
    return key
