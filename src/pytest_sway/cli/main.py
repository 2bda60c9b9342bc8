"""Reads the command line of ``sway``.

argparse and not typer: nothing is installed for it, and ``sway --help`` does not import rich.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper

from pytest_sway.cli.adapter_diff import DIFF
from pytest_sway.cli.answer_cache import CACHE
from pytest_sway.cli.autogen import AUTOGEN
from pytest_sway.cli.checking import CHECK
from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.comparing import COMPARE
from pytest_sway.cli.completion import COMPLETION
from pytest_sway.cli.converting import CONVERT_ADAPTER
from pytest_sway.cli.evaluating import GATE, RUN
from pytest_sway.cli.initializing import INIT
from pytest_sway.cli.installation import DOCTOR
from pytest_sway.cli.mining import MINE
from pytest_sway.cli.output import write_error
from pytest_sway.cli.packing import PACK, UNPACK
from pytest_sway.cli.probe_list import LIST_PROBES
from pytest_sway.cli.ranking import RANK
from pytest_sway.cli.rendering import REPORT
from pytest_sway.cli.serving import SERVE
from pytest_sway.cli.side_by_side import SAMPLES
from pytest_sway.cli.spec_schema import SCHEMA
from pytest_sway.cli.tracing import TRACE
from pytest_sway.cli.watching import WATCH
from pytest_sway.session_error import SessionError
from pytest_sway.version import __version__

COMMANDS: tuple[Command, ...] = (
    CHECK,
    INIT,
    AUTOGEN,
    RUN,
    GATE,
    SAMPLES,
    DIFF,
    RANK,
    REPORT,
    COMPARE,
    MINE,
    PACK,
    UNPACK,
    TRACE,
    SERVE,
    WATCH,
    LIST_PROBES,
    SCHEMA,
    CONVERT_ADAPTER,
    CACHE,
    DOCTOR,
    COMPLETION,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit status.

    Args:
        arguments: of the command line; by default the process's.
    """
    _open_closed_streams()
    _allow_any_encoding()
    try:
        try:
            return _run_command(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()  # what cannot be written is said here, not by Python at its end
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return Exit.PIPE_CLOSED
    except OSError as error:
        _complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        if error.filename is None:
            _discard_output()
        return Exit.CANNOT_RUN


def _run_command(given: list[str]) -> int:
    own, further = _parted(given)
    parser = build_parser()
    parsed = parser.parse_args(own)
    if parsed.command is None:
        parser.print_help()
        return Exit.OK
    parsed.parser = parser
    parsed.pytest_arguments = further
    command = next(one for one in COMMANDS if one.name == parsed.command)
    if further and command not in (RUN, GATE, SAMPLES, DIFF, RANK):
        _complain(
            f"sway {command.name} does not accept arguments for pytest; remove -- and the arguments after it"
        )
        return Exit.CANNOT_RUN
    try:
        _refuse_dlm_sway()
        return command.run(parsed)
    except CommandError as error:
        _complain(str(error))
        return error.status
    except SessionError as error:
        _complain(str(error))
        return Exit.CANNOT_RUN


def _open_closed_streams() -> None:
    """Open the standard streams that the caller closed: a file that is opened later would take their numbers.

    Writing to standard output fails then as it does in other programs.
    """
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # the lowest number that is free, which is this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole process


def _discard_output() -> None:
    """Send what Python flushes at its end nowhere: it can be written no more than before."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _allow_any_encoding() -> None:
    """A letter that the terminal's encoding lacks is a question mark, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _parted(given: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and pytest's behind ``--``."""
    at = given.index("--") if "--" in given else len(given)
    return given[:at], given[at + 1 :]


def _refuse_dlm_sway() -> None:
    """Raise CommandError where dlm-sway is installed, whose command and mark have the same names."""
    try:
        importlib.metadata.version("dlm-sway")
    except importlib.metadata.PackageNotFoundError:
        return
    raise CommandError(
        "dlm-sway is also installed. Both packages provide the command sway and the marker "
        "@pytest.mark.sway. Run pip uninstall dlm-sway"
    )


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="sway",
        description="Test whether an adapter learned its training data, only memorised it, is no better than "
        "noise, or damages the base model",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sway {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS:
        own = commands.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help}.",
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_arguments(own)
    return parser


def _complain(message: str) -> None:
    write_error(f"sway: {message}\n")
