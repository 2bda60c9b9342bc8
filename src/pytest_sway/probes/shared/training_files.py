"""What the pre-run probes share: clear errors of training files, and which file was read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_sway.probes.base import ProbeError, ProbeSkip
from pytest_sway.text.message_parts import shorten_list
from pytest_sway.training.errors import AmbiguousRunError, TrainingDataError


@contextmanager
def probe_errors(option: str) -> Iterator[None]:
    """Turn errors of training files into the probe's: unreadable is an error, of another run a skip.

    Args:
        option: the option that names the right file.
    """
    try:
        yield
    except AmbiguousRunError as error:
        raise ProbeSkip(f"{error}; set {option} to the file of the run that trained the adapter") from None
    except TrainingDataError as error:
        raise ProbeError(str(error)) from None


def file_read(file: Path, folder: Path, reason: str) -> str:
    """Which file was read, by its path from the spec's folder where it lies below, and why this one."""
    path = file.absolute()
    if path.is_relative_to(folder.absolute()):
        path = path.relative_to(folder.absolute())
    return f"read from {path}, {reason}" if reason else f"read from {path}"


def nothing_to_read(what: str, place: Path, unread: list[str], read: str, option: str) -> str:
    """The message of a skip: nothing that is read was found, what was found instead, what is read."""
    instead = f"; found instead: {shorten_list(unread)}" if unread else ""
    missing = f"there is no {what} in {place}{instead}"
    return f"{missing}; supported files: {read}; set {option} to use another place"
