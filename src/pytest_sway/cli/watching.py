"""``sway watch``: every adapter of a training, evaluated as soon as it is complete."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.evaluating import spec_path
from pytest_sway.cli.output import empty_value, write_error, write_output

if TYPE_CHECKING:
    from pytest_sway.watch.events import Event
    from pytest_sway.watch.on_fail import OnFail
    from pytest_sway.watch.watcher import Watched

_KEY, _OTHER_KEY, _URL = "SWAY_SERVE_KEY", "SWAY_API_KEY", "SWAY_SERVE_URL"
_OF_FOLDER = ("base", "data")
_HISTORY = "sway-history"


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "watched",
        metavar="SPEC|DIR",
        help="A spec whose adapters are watched, or a folder of adapters, each evaluated with sway check",
    )
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="Folder to watch, including its subfolders, instead of the spec's adapters "
        "(repeatable; accepts globs)",
    )
    parser.add_argument("--base", metavar="MODEL", help="The base model, as in sway check (only with DIR)")
    parser.add_argument("--data", metavar="FILE", help="The training data, as in sway check (only with DIR)")
    parser.add_argument(
        "--history-dir",
        default=_HISTORY,
        metavar="DIR",
        help=f"Folder to write results to (default: {_HISTORY})",
    )
    parser.add_argument(
        "--max-history",
        type=int,
        default=100,
        metavar="N",
        help="Number of results to keep (default: 100; 0: all)",
    )
    parser.add_argument(
        "--on-fail",
        metavar="CMD",
        help="Command to run when an adapter fails; $SWAY_RESULT_PATH is set to the path of the result",
    )
    parser.add_argument(
        "--on-fail-timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="Time limit of the --on-fail command in seconds (default: 60)",
    )
    parser.add_argument(
        "--serve-url",
        metavar="URL",
        help=f"URL of the server (sway serve) that runs the evaluations (default: ${_URL})",
    )
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"API key of the server; it is safer in ${_KEY}, because ps shows options to all users",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="Output format of the event lines (default: text)",
    )


def _run(parsed: argparse.Namespace) -> int:
    try:
        from pytest_sway.watch.observing import FolderEvents
    except ImportError as error:
        raise CommandError(
            f"sway watch needs {error.name}, which is not installed; run pip install 'pytest-sway[watch]'"
        ) from error
    from pytest_sway.watch.events import Event, EventKind
    from pytest_sway.watch.watcher import Watcher

    say = _saying(parsed.format)
    watched = _watched(parsed, say)
    watcher, events = Watcher(watched), FolderEvents()
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        history = f"results are written to {parsed.history_dir}; press Ctrl-C to stop"
        say(Event(EventKind.WATCHING, message=f"watching {watcher.source.label}; {history}"))
        while True:
            pause = watcher.step()
            if fault := events.observe(watcher.places):
                message = f"file system events are not available, so folders are checked every 2 s ({fault})"
                say(Event(EventKind.WATCHING, message=message))
            events.wait(pause)
    except KeyboardInterrupt:
        shown = shlex.join(["sway", "compare", parsed.history_dir])
        say(Event(EventKind.STOPPED, message=f"stopped; {shown} shows the results"))
        return Exit.OK
    finally:
        signal.signal(signal.SIGTERM, previous)
        events.close()


def _watched(parsed: argparse.Namespace, say: Callable[[Event], None]) -> Watched:
    from pytest_sway.watch.evaluation import Evaluator
    from pytest_sway.watch.history import History
    from pytest_sway.watch.sources import SourceError, source_of_names
    from pytest_sway.watch.watched_spec import WatchedSpec
    from pytest_sway.watch.watcher import Watched

    if parsed.max_history < 0:
        raise CommandError(f"--max-history {parsed.max_history}: write a number ≥ 0")
    is_folder = Path(parsed.watched).is_dir()
    _check_form(parsed, is_folder=is_folder)
    url = parsed.serve_url or (None if is_folder else os.environ.get(_URL))
    names = [parsed.watched] if is_folder else parsed.adapter
    try:
        source = source_of_names(names) if names else None
        spec = None if is_folder else WatchedSpec(spec_path(parsed.watched).absolute(), source)
    except SourceError as error:
        raise CommandError(str(error)) from error
    key = _key(parsed.api_key) if url else None
    history = History(Path(parsed.history_dir), str(Path(parsed.watched).absolute()), parsed.max_history)
    options = [
        part for name in _OF_FOLDER if (given := getattr(parsed, name)) for part in (f"--{name}", given)
    ]
    evaluate = Evaluator(None if spec is None else spec.path, tuple(options), url, key)
    return Watched(source, spec, evaluate, history, say, _on_fail(parsed))


def _check_form(parsed: argparse.Namespace, *, is_folder: bool) -> None:
    """Raise CommandError for options of the other form."""
    given = {"--adapter": parsed.adapter, "--serve-url": parsed.serve_url}
    if is_folder and (wrong := [name for name, value in given.items() if value]):
        raise CommandError(
            f"{wrong[0]} needs a spec, but {parsed.watched} is a folder; create a spec with sway init"
        )
    if not is_folder and (named := [name for name in _OF_FOLDER if getattr(parsed, name)]):
        raise CommandError(
            f"--{named[0]} is only for folders; {parsed.watched} is a spec, which sets the base model and "
            "the training data itself"
        )


def _key(given: str | None) -> str | None:
    """The daemon's key: the option's, else the environment's."""
    if given or os.environ.get(_KEY):
        return given or os.environ[_KEY]
    if other := os.environ.get(_OTHER_KEY):
        write_error(
            f"sway watch: ${_KEY} is not set, so sway serve gets the key in ${_OTHER_KEY}, which is meant "
            f"for model servers; put the key of sway serve in ${_KEY}\n"
        )
        return other
    return None


def _on_fail(parsed: argparse.Namespace) -> OnFail | None:
    from pytest_sway.watch.on_fail import OnFail

    if parsed.on_fail is None:
        return None
    try:
        command = shlex.split(parsed.on_fail)
    except ValueError as error:
        raise CommandError(f"--on-fail {parsed.on_fail}: {error}") from error
    if not command:
        raise CommandError(empty_value("on-fail"))
    if not parsed.on_fail_timeout > 0:
        raise CommandError(f"--on-fail-timeout {parsed.on_fail_timeout}: write a number > 0")
    return OnFail(tuple(command), parsed.on_fail_timeout)


def _saying(form: str) -> Callable[[Event], None]:
    """Writes each event's line at once."""
    from pytest_sway.watch.events import json_line, text_line

    line = json_line if form == "json" else text_line

    def say(event: Event) -> None:
        write_output(f"{line(event, datetime.now().astimezone())}\n")
        sys.stdout.flush()

    return say


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


WATCH = Command(
    "watch",
    "Evaluate each adapter of a training run as soon as it is saved",
    "sway watch sway.yaml --on-fail 'notify-send sway'",
    _arguments,
    _run,
)
