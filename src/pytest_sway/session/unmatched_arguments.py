"""Adapter folders among the test paths of the command line."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import pytest

from pytest_sway.spec.adapter_folders import adapters_below, is_checkpoint
from pytest_sway.spec.path_lookup import is_folder
from pytest_sway.text.message_parts import shorten_list


def check_arguments(config: pytest.Config) -> None:
    """Refuse adapter folders among the test paths, which pytest would silently ignore.

    The shell expands ``--sway-adapter run/checkpoint-*`` to several arguments, and only the first belongs
    to the option. A folder that holds test files or specs is a test path, and gets a warning. Nothing is
    done where the command line names neither the option nor a spec.

    Raises:
        pytest.UsageError: naming the folders, and what to write.
    """
    if config.args_source is not config.ArgsSource.ARGS:
        return
    given: list[str] = config.getoption("sway_adapter")
    if not given and not any(_is_named(_file_of(one), config, "sway_files") for one in config.args):
        return
    here = config.invocation_params.dir
    words = list(dict.fromkeys(config.args))
    lost = [one for one in words if _is_adapters(here / one) and not _holds_tests(here / one, config)]
    if lost:
        raise pytest.UsageError(_refusal(lost, given, here))
    for one in words:
        if is_checkpoint(here / one):
            _warn(config, one)


def _is_adapters(folder: Path) -> bool:
    return is_folder(folder) and (is_checkpoint(folder) or bool(adapters_below(folder)))


def _refusal(lost: Sequence[str], given: Sequence[str], here: Path) -> str:
    """What was found and what to write instead."""
    are, paths = ("is", "a test path") if len(lost) == 1 else ("are", "test paths")
    what = "an adapter folder or a checkpoint" if len(lost) == 1 else "adapter folders or checkpoints"
    found = f"{shorten_list(list(lost))} {are} passed as {paths}, but {are} {what} without tests."
    everyone = [*given, *lost]
    repeated = " ".join([*(f"--sway-adapter={name}" for name in everyone[:3]), *["…"] * (len(everyone) > 3)])
    if not given:
        return f"{found} To evaluate adapters, use {repeated}"
    pattern = _pattern(everyone, here)
    quoted = f"quote the pattern (--sway-adapter='{pattern}') or " if pattern else ""
    return f"{found} --sway-adapter accepts one folder or one pattern: {quoted}repeat the option ({repeated})"


def _pattern(names: Sequence[str], here: Path) -> str:
    """A pattern that the shell may have expanded: it matches all of ``names``; empty where there is none."""
    columns = zip(*(name.rstrip("/") for name in names), strict=False)
    prefix = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, columns))
    found = {os.path.normpath(one) for one in glob.glob(f"{prefix}*", root_dir=here)}  # noqa: PTH207
    return f"{prefix}*" if found.issuperset(map(os.path.normpath, names)) else ""


def _holds_tests(folder: Path, config: pytest.Config) -> bool:
    """Whether pytest or this plugin would collect a file in it, by the names of the files."""
    names = (name for _, _, files in os.walk(folder) for name in files)
    return any(_is_named(name, config, "python_files", "sway_files") for name in names)


def _is_named(name: str, config: pytest.Config, *settings: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for setting in settings for pattern in config.getini(setting))


def _file_of(argument: str) -> str:
    """The file's name of a test path, which may go on to a node in it."""
    return Path(argument.partition("::")[0]).name


def _warn(config: pytest.Config, folder: str) -> None:
    from pytest_sway.result import SwayWarning  # no run without such a folder pays for it

    text = (
        f"{folder} is an adapter folder or a checkpoint that contains test files or specs. pytest runs these "
        f"files and does not evaluate the adapter; to evaluate the adapter, use --sway-adapter={folder}"
    )
    try:
        config.issue_config_time_warning(SwayWarning(text), stacklevel=2)
    except SwayWarning as error:  # -W error
        raise pytest.UsageError(str(error)) from None
