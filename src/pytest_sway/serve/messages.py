"""What the two processes of the daemon say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LoadedModel:
    """A model that the worker holds: its name, and the bytes of its weights."""

    name: str
    size: int


@dataclass(frozen=True)
class Job:
    """A run that the worker is to do.

    Attributes:
        run: its id.
        spec: text of the spec; every path in it is absolute.
        probes: names of the entries to be measured; empty for all.
    """

    run: str
    spec: str
    probes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cancel:
    """The run is to end between two batches."""

    run: str


@dataclass(frozen=True)
class Stop:
    """The worker is to close its models and end."""


@dataclass(frozen=True)
class ProbeStarted:
    """A probe is being measured."""

    run: str
    probe: str


@dataclass(frozen=True)
class Progress:
    """Of the round that runs, so many of so many tokens are done."""

    run: str
    done: int
    total: int


@dataclass(frozen=True)
class ProbeFinished:
    """A probe has its result.

    Attributes:
        run: of the run.
        result: its entry of schema 1.
        context: what it was measured with, as JSON; None without a model.
    """

    run: str
    result: dict[str, Any] = field(hash=False)
    context: dict[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Finished:
    """The run is over.

    Attributes:
        run: of the run.
        result: schema 1; None where it failed.
        error: why; empty where it did not.
        is_cancelled: whether it was cancelled.
        status: HTTP's, where it failed.
        models: what the worker holds now.
    """

    run: str
    result: dict[str, Any] | None = field(hash=False)
    error: str = ""
    is_cancelled: bool = False
    status: int = 400
    models: tuple[LoadedModel, ...] = ()
