"""What a command is, and how it ends."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from pytest_sway.user_error import UserError


class Exit(IntEnum):
    """Exit statuses: dlm-sway's, and what a shell gives for SIGINT and SIGPIPE."""

    OK = 0
    GATE_FAILED = 1
    CANNOT_RUN = 2
    INTERRUPTED = 130
    PIPE_CLOSED = 141


class CommandError(UserError):
    """What cannot be done, in one line: what was found, and what to write instead."""

    def __init__(self, message: str, status: Exit = Exit.CANNOT_RUN) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Command:
    """One of ``sway``'s commands.

    Attributes:
        name: as it is written.
        help: one line, without a full stop.
        example: a command line that works.
        add_arguments: declares its arguments.
        run: does it, and gives its exit status.
    """

    name: str
    help: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
