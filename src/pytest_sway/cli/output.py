"""Where a command's text goes."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_sway.cli.command import CommandError
from pytest_sway.reports.report_files import write_file


def write_text(text: str, file: str | None) -> None:
    """Into a file, whole or not at all; else to standard output.

    Raises:
        CommandError: the file cannot be written.
    """
    if file is None:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return
    try:
        write_file(Path(file), text)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror or error}") from error
