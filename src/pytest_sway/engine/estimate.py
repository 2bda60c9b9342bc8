"""What a probe's run will cost: its requests with imagined answers, at this machine's speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_sway.backends.base import AskedWork, ServerBackend, WeightsBackend
from pytest_sway.engine.drive import drive
from pytest_sway.engine.imagined_answers import ImaginedAnswers, Known
from pytest_sway.engine.measures import Measurable, null_measures
from pytest_sway.engine.planner import Planner
from pytest_sway.engine.server_planner import ServerPlanner
from pytest_sway.engine.speed import measure_speed, time_of_forward
from pytest_sway.engine.workload import Speed, Workload
from pytest_sway.requests import Embed, Request, View, Views

_SLOW_FORWARD_S = 0.03
"""Of 16 tokens. The quickstart's model takes 0.005 s and its whole battery a minute."""


@dataclass(frozen=True)
class RunEstimate:
    """What a probe's run will cost.

    Attributes:
        tokens: that are read or written.
        seconds: that the forwards take.
        memory: bytes that the largest batch takes beside the weights.
        most_tokens, most_seconds: where it takes every null draw to decide the verdict.
        requests, most_requests: of a server, whose time and memory are not estimated.
    """

    tokens: int
    most_tokens: int
    seconds: float = 0.0
    memory: int = 0
    most_seconds: float = 0.0
    requests: int = 0
    most_requests: int = 0


class Estimator:
    """Estimates runs on one subject; the machine's speed is measured at the first one.

    Args:
        backend: holds the weights.
        planner: cuts requests into batches.
        known: the answers that need not be computed again.
    """

    def __init__(self, backend: WeightsBackend, planner: Planner, known: Known) -> None:
        self._backend = backend
        self._planner = planner
        self._known = known
        self._speed: Speed | None = None
        self._made: set[View] = set()

    def is_slow(self, view: View) -> bool:
        """Whether a short forward takes so long that a suite may take minutes."""
        return time_of_forward(self._backend, view) >= _SLOW_FORWARD_S

    def estimate(
        self, probe: Measurable, views: Views, nulls: Sequence[View], further: Sequence[View]
    ) -> RunEstimate:
        """The cost of a run with ``nulls``, and with the ``further`` ones besides."""
        if self._speed is None:
            self._speed = measure_speed(
                self._backend, views.tuned, nulls[0] if nulls else None, self._planner.limits
            )
        rounds: list[Workload] = []
        answers = ImaginedAnswers(
            self._backend, self._known, lambda requests: rounds.append(self._workload(requests))
        )
        drive([probe.measure(views), *null_measures(probe, views, nulls)], answers)
        first = sum(rounds, Workload())
        drive(null_measures(probe, views, further), answers)
        every = sum(rounds, Workload())
        return RunEstimate(
            tokens=first.all_tokens,
            seconds=self._speed.seconds(first),
            memory=every.largest,
            most_tokens=every.all_tokens,
            most_seconds=self._speed.seconds(every),
        )

    def _workload(self, requests: Sequence[Request[Any]]) -> Workload:
        """What a round makes the model compute; null adapters are made once for all probes."""
        asked = [request for request in requests if not isinstance(request, Embed)]
        nulls = {view for request in asked for view in request.views if view.null is not None}
        made = len(nulls - self._made)
        self._made |= nulls
        return replace(self._planner.workload(asked), nulls=made)


class ServerEstimator:
    """Counts what a run would ask of a server.

    Args:
        backend: encodes the prompts.
        planner: cuts requests into those of the server.
        known: the answers that need not be asked for again.
    """

    def __init__(self, backend: ServerBackend, planner: ServerPlanner, known: Known) -> None:
        self._backend = backend
        self._planner = planner
        self._known = known

    def estimate(
        self, probe: Measurable, views: Views, nulls: Sequence[View], further: Sequence[View]
    ) -> RunEstimate:
        """The cost of a run with ``nulls``, and with the ``further`` ones besides."""
        rounds: list[AskedWork] = []
        answers = ImaginedAnswers(self._backend, self._known, lambda asked: rounds.append(self._work(asked)))
        drive([probe.measure(views), *null_measures(probe, views, nulls)], answers)
        first = len(rounds)
        drive(null_measures(probe, views, further), answers)
        return RunEstimate(
            tokens=sum(one.tokens for one in rounds[:first]),
            most_tokens=sum(one.tokens for one in rounds),
            requests=sum(one.requests for one in rounds[:first]),
            most_requests=sum(one.requests for one in rounds),
        )

    def _work(self, requests: Sequence[Request[Any]]) -> AskedWork:
        return self._planner.work([request for request in requests if not isinstance(request, Embed)])
