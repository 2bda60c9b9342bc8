"""What a suite is going to cost, probe by probe, as ``--sway-plan`` tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.result import Record


@dataclass(frozen=True)
class PlannedProbe(Record):
    """One probe's part in the cost of its suite.

    Attributes:
        suite: id of the suite.
        name: of the probe.
        tokens: that the model reads or writes for it.
        seconds: that its forwards take.
        memory: bytes that its largest batch takes beside the weights.
        most_tokens, most_seconds: where it takes every null adapter to decide the verdict.
        requests, most_requests: of a server, whose time and memory are not known.
        reason: why it asks nothing of the model; empty where it does.
    """

    suite: str
    name: str
    tokens: int = 0
    seconds: float = 0.0
    memory: int = 0
    most_tokens: int = 0
    most_seconds: float = 0.0
    requests: int = 0
    most_requests: int = 0
    reason: str = ""


def total(probes: Sequence[PlannedProbe]) -> PlannedProbe:
    """All of them together; the memory is the largest one's."""
    return PlannedProbe(
        suite=probes[0].suite if probes else "",
        name="all",
        tokens=sum(one.tokens for one in probes),
        seconds=sum(one.seconds for one in probes),
        memory=max((one.memory for one in probes), default=0),
        most_tokens=sum(one.most_tokens for one in probes),
        most_seconds=sum(one.most_seconds for one in probes),
        requests=sum(one.requests for one in probes),
        most_requests=sum(one.most_requests for one in probes),
    )
