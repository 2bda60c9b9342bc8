"""One per backend: caches answers and runs a probe on the subject and its nulls together."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from pytest_sway.backends.base import (
    AnsweringBackend,
    Determinism,
    ServerBackend,
    ServerUsage,
    WeightsBackend,
)
from pytest_sway.engine.answer_keys import STORABLE
from pytest_sway.engine.costs import Costs
from pytest_sway.engine.disk_cache import DiskCache
from pytest_sway.engine.drive import drive
from pytest_sway.engine.estimate import Estimator, RunEstimate, ServerEstimator
from pytest_sway.engine.known_answers import KnownAnswers
from pytest_sway.engine.measures import (
    Embedder,
    Measurable,
    NullOutcomes,
    Outcome,
    RunLimits,
    TimedOut,
    null_measures,
    null_outcomes,
)
from pytest_sway.engine.memory_limits import MEMORY
from pytest_sway.engine.noise_floor import NoiseFloor
from pytest_sway.engine.planner import Planner
from pytest_sway.engine.planner_events import Progress
from pytest_sway.engine.portable_answers import PortableAnswers, PortableFloor
from pytest_sway.engine.server_planner import ServerPlanner
from pytest_sway.engine.trace import Trace
from pytest_sway.requests import Embed, Request, RequestError, View, Views
from pytest_sway.result import Measurement

NO_LIMITS = RunLimits()


class Engine:
    """Merges, de-duplicates and caches what measures ask of one backend.

    Args:
        backend: answers; where it does not answer whole requests, through a planner.
        store: answers of earlier sessions. Read and written only where the backend says with
            ``identity`` what its numbers depend on beside the request.
        trace: takes an event per request.
        memory: bytes that a batch may take beside the weights.
        batch_invariant: whether every text is scored by itself, so that no answer depends on what else was
            asked.
        embedder: answers :class:`Embed`.
        portable: answers of a pack, with which nothing that they answer is asked anew.
        record: takes every answer, to be packed.
        progress: shows after each forward how many of the round's tokens are done, of how many.
    """

    def __init__(
        self,
        backend: AnsweringBackend | WeightsBackend | ServerBackend,
        *,
        store: DiskCache | None = None,
        trace: Trace | None = None,
        memory: int = MEMORY,
        batch_invariant: bool = False,
        embedder: Embedder | None = None,
        portable: PortableAnswers | None = None,
        record: PortableAnswers | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.backend = backend
        self._embedder = embedder
        self._planner: Planner | ServerPlanner | None = None
        if isinstance(backend, ServerBackend):
            self._planner = ServerPlanner(backend, batch_invariant=batch_invariant)
        elif not isinstance(backend, AnsweringBackend):
            self._planner = Planner(backend, memory, batch_invariant=batch_invariant)
        identity = f"{backend.identity} memory={memory} alone={batch_invariant}"
        self._portable, self._record = portable, record
        self._variant = f"alone={batch_invariant} epsilon={getattr(backend, 'epsilon', 0):g}"
        self._known = KnownAnswers(
            backend,
            identity,
            store if backend.identity else None,
            portable=portable,
            record=record,
            variant=self._variant,
        )
        if record is not None:
            record.origin = backend.identity if portable is None else portable.origin
        self._batch_invariant = batch_invariant
        self._trace = trace
        self._progress = progress
        self._noise_floor: NoiseFloor | None = None
        self._estimator: Estimator | None = None
        self._running = ""
        self._deadline: float | None = None
        self._fresh: dict[Request[Any], Any] = {}
        """What the round that runs was answered."""
        self._seconds: dict[Request[Any], float] = {}
        """What the forwards of each of these took."""
        self._subject: object = None
        self._usage_before = ServerUsage()
        self.hits = self.stored_hits = self.misses = 0

    def begin(self, subject: object) -> None:
        """Count anew where a subject is not the one before."""
        if subject is not self._subject:
            self._subject = subject
            self._usage_before = self._usage()
            self.hits = self.stored_hits = self.misses = 0
            if self._planner is not None:
                self._planner.costs = Costs()

    def run(
        self,
        probe: Measurable,
        views: Views,
        nulls: Sequence[View] = (),
        limits: RunLimits = NO_LIMITS,
    ) -> Outcome:
        """Drive a probe's measure on ``views`` and on each null in the place of ``views.tuned``.

        Raises:
            TimedOut: past the deadline.
            Exception: whatever the subject's own measure raised; a null's is one draw less.
        """
        first: list[Request[Any]] = []

        def answer(requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
            """The subject's requests stand before its nulls'."""
            if not first:
                first.extend(r for r in requests if isinstance(r, STORABLE) and r.prompt)
            return self.answer(requests)

        measures = [probe.measure(views), *null_measures(probe, views, nulls)]
        with self._running_probe(probe, limits):
            subject, *others = drive(measures, answer, first_ends_all=True)
        assert isinstance(subject, Measurement)
        return Outcome(subject, null_outcomes(nulls, others), self._rendered_prompt(first))

    def run_nulls(
        self,
        probe: Measurable,
        views: Views,
        nulls: Sequence[View],
        limits: RunLimits = NO_LIMITS,
    ) -> NullOutcomes:
        """Drive a probe's measure on further nulls alone; arguments and errors are those of :meth:`run`."""
        with self._running_probe(probe, limits):
            return null_outcomes(nulls, drive(null_measures(probe, views, nulls), self.answer))

    @contextmanager
    def _running_probe(self, probe: Measurable, limits: RunLimits) -> Iterator[None]:
        """Whose requests are answered, until when, and whether the nulls' answers are kept on disk."""
        self._running, self._known.keep_nulls, self._deadline = probe.name, limits.keep_nulls, limits.deadline
        try:
            yield
        finally:
            self._running, self._known.keep_nulls, self._deadline = "", True, None

    def estimate(
        self, probe: Measurable, views: Views, nulls: Sequence[View], further: Sequence[View]
    ) -> RunEstimate | None:
        """What a run would cost with ``nulls``, and with the ``further`` ones besides.

        None for a backend that answers whole requests; of a server, requests and tokens alone.
        """
        if isinstance(self._planner, ServerPlanner) and isinstance(self.backend, ServerBackend):
            server = ServerEstimator(self.backend, self._planner, self._known.peek)
            return server.estimate(probe, views, nulls, further)
        estimator = self._existing_estimator()
        return estimator.estimate(probe, views, nulls, further) if estimator is not None else None

    def is_slow(self, view: View) -> bool:
        """Whether a short forward takes so long that a suite may take minutes; False of a server or pack."""
        if self._packed_floor(view) is not None:
            return False
        estimator = self._existing_estimator()
        return estimator is not None and estimator.is_slow(view)

    def _existing_estimator(self) -> Estimator | None:
        if not isinstance(self._planner, Planner) or not isinstance(self.backend, WeightsBackend):
            return None
        if self._estimator is None:
            self._estimator = Estimator(self.backend, self._planner, self._known.peek)
        return self._estimator

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Answer a round: once per distinct request, from memory or disk where it is known."""
        asked = list(dict.fromkeys(requests))
        keys = self._known.keys(asked)
        first: dict[Hashable, Request[Any]] = {}  # of those for which the model reads the same
        for request, key in keys.items():
            first.setdefault(key, request)
        distinct = list(first.values())
        answers = self._known.from_memory(distinct)
        stored = self._known.from_disk([r for r in distinct if r not in answers])
        answers.update(stored)
        missing = [r for r in distinct if r not in answers]
        self.misses += len(missing)
        self.hits += len(requests) - len(missing)
        self.stored_hits += len(stored)
        began = time.perf_counter()
        self._fresh, self._seconds = {}, {}
        try:
            self._ask(missing)
        finally:  # whatever ended it, what was answered is kept and traced
            self._known.flush()
            found = {**answers, **self._fresh}
            known = {r: found[one] for r in asked if (one := first[keys[r]]) in found}
            self._write_trace(list(known), time.perf_counter() - began)
        self._known.record(known)
        return known

    def _ask(self, missing: Sequence[Request[Any]]) -> None:
        """Ask the embedder and the backend, and keep each answer as soon as it is there."""
        embeds = [r for r in missing if isinstance(r, Embed)]
        others = [r for r in missing if not isinstance(r, Embed)]
        self._keep(self._embed(embeds))
        if others and isinstance(self.backend, AnsweringBackend):
            self._keep(self.backend.answer(others))
        elif others and self._planner is not None:
            try:
                self._ask_planner(self._planner, others)
            finally:
                self._show_progress(Progress(1, 1))  # whatever ended it, the round is over

    def _ask_planner(self, planner: Planner | ServerPlanner, requests: Sequence[Request[Any]]) -> None:
        with closing(planner.answer(requests)) as events:
            for event in events:
                if isinstance(event, Progress):
                    self._show_progress(event)
                    self._check_deadline()
                elif event.answers:
                    self._seconds.update(event.seconds)
                    self._keep(event.answers)

    def _show_progress(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress(progress.done, progress.total)

    def _keep(self, answers: Mapping[Request[Any], Any]) -> None:
        """Keep answers as they come in, so that a run that is ended early has not asked in vain.

        Raises:
            TimedOut: past the deadline.
        """
        self._fresh.update(answers)
        self._known.keep({r: a for r, a in answers.items() if not isinstance(a, Exception)})
        self._check_deadline()

    def _check_deadline(self) -> None:
        if self._deadline is not None and time.perf_counter() > self._deadline:
            raise TimedOut

    def noise_floor(self, base: View) -> NoiseFloor:
        """How far the base is from itself in another batch; nothing where whole requests are answered."""
        if self._planner is None:
            return NoiseFloor()
        if self._noise_floor is None:
            self._noise_floor = self._packed_floor(base) or self._planner.noise_floor(base)
        if self._record is not None:
            self._record.floor = PortableFloor(base.base, self._variant, self._noise_floor)
        return self._noise_floor

    def _packed_floor(self, base: View) -> NoiseFloor | None:
        """The noise floor of a pack that is of this base, scored so."""
        return self._portable.noise_floor(base.base, self._variant) if self._portable is not None else None

    def stats(self) -> dict[str, float]:
        """What the run cost, by the names of dlm-sway's schema 1 and those of pytest-sway."""
        total = self.hits + self.misses
        counted = {"cache_hits": self.hits, "cache_misses": self.misses, "stored_hits": self.stored_hits}
        rate = {"hit_rate": self.hits / total if total else 0.0}
        planned = self._planner.costs.as_dict() if self._planner is not None else {}
        spent = [now - before for now, before in zip(self._usage(), self._usage_before, strict=True)]
        used = ServerUsage(*spent)._asdict() if any(spent) else {}
        return {**counted, **rate, **planned, **used}

    def _usage(self) -> ServerUsage:
        """What the server was asked for so far."""
        usage = self.backend.usage() if isinstance(self.backend, ServerBackend) else None
        return usage or ServerUsage()

    @property
    def keeps_answers(self) -> bool:
        """Whether what was answered is kept for the next session."""
        return self._known.is_kept

    def determinism(self) -> Determinism | None:
        """How far two runs can be expected to agree; None where the backend does not know."""
        return self.backend.determinism(batch_invariant=self._batch_invariant)

    def close(self) -> None:
        """Let go of the file of answers."""
        self._known.close()

    def notes(self) -> list[str]:
        """What a reader of the report should know of the prompts, the cache and the trace."""
        notes = [*self.backend.prompt_notes(), *self._known.notes()]
        if self._trace is not None and self._trace.trouble:
            notes = [*notes, self._trace.trouble]
        if self._portable is not None and self._portable.used:
            made_by = f"the pack contains answers of the models, computed with {self._portable.origin}"
            notes.append(f"{made_by}; they were used here. Set SWAY_DISABLE_NULL_CACHE=1 to recompute them")
        return notes

    def _embed(self, requests: Sequence[Embed]) -> dict[Request[Any], Any]:
        """Vectors, or the error that stands for each."""
        answers: dict[Request[Any], Any] = {}
        for model in dict.fromkeys(request.model for request in requests):
            mine = [request for request in requests if request.model == model]
            try:
                if self._embedder is None:
                    raise RequestError(
                        "no sentence embedder is installed; run pip install 'pytest-sway[semsim]'"
                    )
                answers.update(zip(mine, self._embedder.embed([r.text for r in mine], model), strict=True))
            except RequestError as error:
                answers.update(dict.fromkeys(mine, error))
        return answers

    def _rendered_prompt(self, requests: Sequence[Any]) -> str:
        """The first request's prompt as the model reads it."""
        if not requests:
            return ""
        try:
            return self.backend.rendered_prompt(requests[0].prompt)
        except RequestError:  # the measure did without it
            return ""

    def _write_trace(self, asked: Sequence[Request[Any]], spent: float) -> None:
        if self._trace is None:
            return
        share = spent / len(self._fresh) if self._fresh else 0.0
        events = []
        for request in asked:
            is_fresh = request in self._fresh
            seconds = self._seconds.get(request, share) if is_fresh else 0.0
            events.append((self._running, request, seconds, not is_fresh))
        self._trace.write(events)
