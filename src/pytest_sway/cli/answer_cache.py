"""``sway cache``: the answers that earlier runs kept."""

from __future__ import annotations

import argparse
import json
import sqlite3

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import write_output
from pytest_sway.text import formatting

_TURNED_OFF = "the answer cache is off, because SWAY_DISABLE_NULL_CACHE is set or no home folder was found"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("info", "clear", "path"),
        help="info: print what the cache holds; clear: delete it; path: print its folder",
    )
    parser.add_argument("--json", action="store_true", help="Print the info as JSON")


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.engine import disk_cache

    where = disk_cache.folder()
    if where is None:
        raise CommandError(_TURNED_OFF)
    file = where / disk_cache.FILE
    if parsed.action == "path":
        write_output(f"{file}\n")
        return Exit.OK
    try:
        if parsed.action == "clear":
            disk_cache.clear()
            write_output(f"cleared {file}\n")
            return Exit.OK
        answers = disk_cache.count(file) if file.is_file() else 0
    except (OSError, sqlite3.Error) as error:
        raise CommandError(f"{file} cannot be read or written: {error}") from error
    size = file.stat().st_size if file.is_file() else 0
    text = f"{file}: {answers:,} answers, {formatting.size(size)}"
    content = json.dumps({"path": str(file), "answers": answers, "bytes": size})
    write_output(f"{content if parsed.json else text}\n")
    return Exit.OK


CACHE = Command(
    "cache",
    "Show, locate or clear the on-disk answer cache",
    "sway cache info",
    _arguments,
    _run,
)
