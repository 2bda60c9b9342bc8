"""Reads the command line of ``sway``.

argparse and not typer: nothing is installed for it, and ``sway --help`` does not import rich.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
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
    _allow_any_encoding()
    given = list(sys.argv[1:] if arguments is None else arguments)
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
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has gone: what is flushed at the end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.PIPE_CLOSED
    except OSError as error:
        _complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        return Exit.CANNOT_RUN


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
