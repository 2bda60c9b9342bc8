"""For backends that hold weights: answers a round of requests, forward by forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_sway.backends.base import WeightsBackend
from pytest_sway.engine.continuations import Continuations
from pytest_sway.engine.costs import Costs
from pytest_sway.engine.memory_limits import MEMORY, memory_limits
from pytest_sway.engine.noise_floor import NoiseFloor, noise_floor
from pytest_sway.engine.planner_events import Events, FinishedBatch
from pytest_sway.engine.scoring_jobs import Job, jobs_of
from pytest_sway.engine.text_scoring import TextScoring
from pytest_sway.engine.workload import Workload
from pytest_sway.requests import Generate, Request, RequestError, Tokens, View


class Planner:
    """Answers requests with a backend's two primitives.

    Args:
        backend: holds the weights.
        memory: bytes that a batch may take beside the weights.
        batch_invariant: whether every text is scored and continued by itself, so that no answer can depend
            on what else was asked.
    """

    def __init__(
        self, backend: WeightsBackend, memory: int = MEMORY, *, batch_invariant: bool = False
    ) -> None:
        self._backend = backend
        self._batch_invariant = batch_invariant
        self.limits = memory_limits(backend, memory)
        self.costs = Costs()

    def answer(self, requests: Sequence[Request[Any]]) -> Events:
        """Every request's answer, or the :class:`RequestError` that stands for it, as batches finish.

        Who stops early should close the generator: the backend may be amid a batch.
        """
        known, generating, jobs = self._sorted(requests)
        yield FinishedBatch(known)
        yield from self._continuations(self.costs).answer(generating)
        yield from self._scoring(self.costs).answer(jobs)

    def workload(self, requests: Sequence[Request[Any]]) -> Workload:
        """What a round would have to compute; nothing is computed, and no cost is counted."""
        _, generating, jobs = self._sorted(requests)
        return self._continuations(Costs()).workload(generating) + self._scoring(Costs()).workload(jobs)

    def _sorted(
        self, requests: Sequence[Request[Any]]
    ) -> tuple[dict[Request[Any], Any], list[Generate], dict[Request[Any], list[Job]]]:
        """What is answered without a forward, what is continued, and what is scored."""
        known: dict[Request[Any], Any] = {}
        generating: list[Generate] = []
        jobs: dict[Request[Any], list[Job]] = {}
        for request in requests:
            try:
                if isinstance(request, Generate):
                    generating.append(request)
                elif isinstance(request, Tokens):
                    known[request] = self._backend.tokenized(request.text)
                else:
                    jobs[request] = jobs_of(request, self._backend)
            except RequestError as error:
                known[request] = error
        return known, generating, jobs

    def _continuations(self, costs: Costs) -> Continuations:
        return Continuations(self._backend, self.limits, costs, batch_invariant=self._batch_invariant)

    def _scoring(self, costs: Costs) -> TextScoring:
        return TextScoring(self._backend, self.limits, costs, batch_invariant=self._batch_invariant)

    def noise_floor(self, base: View) -> NoiseFloor:
        """How far one text is from itself in two batch shapes."""
        return noise_floor(self._backend, base, batch_invariant=self._batch_invariant)
