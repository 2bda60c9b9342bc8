"""``sway completion``: the script that completes commands, options and files in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from pytest_sway.cli.command import Command, Exit
from pytest_sway.cli.output import write_text

_SHELLS = ("bash", "zsh", "fish", "tcsh")
_FILES = ("FILE", "SPEC", "JSON", "JSONL")
_FOLDERS = ("ADAPTER", "DIR", "SRC", "DST")
"""Metavars of arguments that are files and folders."""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell", choices=("bash", "zsh", "fish", "tcsh"), help="The shell to write the script for"
    )


def _run(parsed: argparse.Namespace) -> int:
    import shtab

    parser = parsed.parser
    for action in _actions(parser):
        if action.metavar in (*_FILES, *_FOLDERS):
            action.complete = shtab.FILE if action.metavar in _FILES else shtab.DIRECTORY  # type: ignore[attr-defined]
    write_text(shtab.complete(parser, parsed.shell), None)
    return Exit.OK


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of the parser and of its commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse lists them nowhere else
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                yield from _actions(command)


COMPLETION = Command(
    "completion",
    "Print a shell completion script for commands, options and files",
    "sway completion bash > ~/.local/share/bash-completion/completions/sway",
    _arguments,
    _run,
)
