"""Where a command's text goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from pytest_sway.atomic_files import write_atomically
from pytest_sway.cli.command import CommandError
from pytest_sway.text.width import log_lines


def check_writable(option: str, file: str | None, inputs: Iterable[str | None] = ()) -> None:
    """Raise CommandError where a file could not be written after everything was measured, or must not be.

    Args:
        option: that names it, without dashes.
        file: None: there is none.
        inputs: what is read, which no output replaces.
    """
    if file is None:
        return
    if not file:
        raise CommandError(empty_value(option))
    path = Path(file)
    if path.is_symlink() and Path(os.path.realpath(path)).is_symlink():
        raise CommandError(f"--{option} {file} is a symbolic link that leads to itself; choose another file")
    if path.is_dir():
        raise CommandError(f"--{option} {file} is a folder; pass a file")
    if path.exists() and any(one is not None and Path(one).exists() and path.samefile(one) for one in inputs):
        raise CommandError(f"--{option} {file} would overwrite an input file; choose another file")
    above = next((folder for folder in Path(file).absolute().parents if folder.exists()), Path("/"))
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise CommandError(f"--{option} {file}: the folder {above} is not writable")


def empty_value(option: str) -> str:
    """What an option with an empty value is refused with."""
    return (
        f"--{option.replace('_', '-')} is empty; if its value comes from an environment variable, check that "
        "the variable is set"
    )


def write_output(text: str) -> None:
    """To standard output, without what steers a terminal or is a command in a log."""
    sys.stdout.write(log_lines(text))


def write_error(text: str) -> None:
    """The same to standard error."""
    sys.stderr.write(log_lines(text))


def write_yaml(text: str, file: str | None) -> None:
    """Like :func:`write_text`, but unchanged where standard output leads to a file or a command.

    Raises:
        CommandError: the file cannot be written.
    """
    if file is None and not sys.stdout.isatty() and "GITHUB_ACTIONS" not in os.environ:
        sys.stdout.write(text)
    else:
        write_text(text, file)


def write_text(text: str, file: str | None) -> None:
    """Into a file, whole or not at all; else to standard output.

    Raises:
        CommandError: the file cannot be written.
    """
    if file is None:
        write_output(text if text.endswith("\n") else f"{text}\n")
        return
    write_content(text.encode("utf-8", "backslashreplace"), Path(file))


def write_content(content: bytes, file: Path) -> None:
    """Into a file, completely or not at all.

    Raises:
        CommandError: the file cannot be written.
    """
    try:
        write_atomically(file, content)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from error
