"""One per backend: caches answers and runs a probe on the subject and its nulls together."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from pytest_sway.engine.answer_cache import Cache
from pytest_sway.engine.answer_keys import KEPT, key_of
from pytest_sway.engine.answer_store import Store
from pytest_sway.engine.costs import Costs, Weights
from pytest_sway.engine.drive import drive
from pytest_sway.engine.measures import Answering, Embedder, Measurable, Outcome, TimedOut
from pytest_sway.engine.planner import MEMORY, NoiseFloor, Planner
from pytest_sway.engine.trace import Trace
from pytest_sway.requests import Embed, Request, RequestError, View, Views
from pytest_sway.result import Measurement


class Engine:
    """Merges, de-duplicates and caches what measures ask of one backend.

    The key of an answer is what the model reads, token by token, and the views that read it, named by
    content: an answer never outlives the weights and the prompt that made it, and order cannot change one.
    (Of a backend that answers whole requests: the request.)

    Args:
        backend: answers; where it holds weights, through a planner.
        store: answers of earlier sessions. Read and written only where the backend says with
            ``identity`` what its numbers depend on beside the request.
        trace: takes an event per request.
        memory: bytes that a batch may take beside the weights.
        alone: whether every text is scored by itself (strict: no answer depends on what else was asked).
        embedder: answers :class:`Embed`.
    """

    def __init__(
        self,
        backend: Answering | Weights,
        *,
        store: Store | None = None,
        trace: Trace | None = None,
        memory: int = MEMORY,
        alone: bool = False,
        embedder: Embedder | None = None,
    ) -> None:
        self.backend = backend
        self._embedder = embedder
        self._planner = None if hasattr(backend, "answer") else Planner(backend, memory, alone=alone)
        if self._planner is not None:
            self._planner.settled = self._settled
        identity = getattr(backend, "identity", "")
        self._identity = f"{identity} memory={memory} alone={alone}"
        self._alone = alone
        self._store = store if identity else None
        self._trace = trace
        self._cache = Cache()
        self._resolution: NoiseFloor | None = None
        self._running = ""
        self._nulls_kept = True
        self._deadline: float | None = None
        self._fresh: dict[Request[Any], Any] = {}
        """What the round that runs was answered."""
        self._keys: dict[Request[Any], Hashable] = {}
        """Of the requests of the round that runs."""
        self._subject: object = None
        self.hits = self.stored_hits = self.misses = 0

    def begin(self, subject: object) -> None:
        """Count anew where a subject is not the one before."""
        if subject is not self._subject:
            self._subject = subject
            self.hits = self.stored_hits = self.misses = 0
            if self._planner is not None:
                self._planner.costs = Costs()

    def listen(self, listener: Callable[[int, int], None] | None) -> None:
        """Tell ``listener`` after each forward how many of the round's tokens are done, of how many."""
        if self._planner is not None:
            self._planner.listener = listener

    def run(
        self,
        probe: Measurable,
        views: Views,
        nulls: Sequence[View] = (),
        *,
        keep_nulls: bool = True,
        deadline: float | None = None,
    ) -> Outcome:
        """Drive a probe's measure on ``views`` and on each null in the place of ``views.tuned``.

        ``keep_nulls``: whether the nulls' answers may be read from disk and written there. ``deadline``: on
        the clock of :func:`time.perf_counter`; looked at after each batch (of a server: after each round).

        Raises:
            TimedOut: past the deadline.
            Exception: whatever the subject's own measure raised; a null's is one draw less.
        """
        self._running, self._nulls_kept, self._deadline = probe.name, keep_nulls, deadline
        first: list[Request[Any]] = []

        def answer(requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
            """The subject's requests stand before its nulls'."""
            if not first:
                first.extend(r for r in requests if isinstance(r, KEPT) and r.prompt)
            return self.answer(requests)

        measures = [probe.measure(views)]
        measures += [probe.measure_null(Views(views.base, null, views.author)) for null in nulls]
        try:
            subject, *others = drive(measures, answer)
        finally:
            self._running, self._nulls_kept, self._deadline = "", True, None
        if isinstance(subject, Exception):
            raise subject
        good: dict[View, Measurement] = {}
        failed: dict[View, str] = {}
        for view, outcome in zip(nulls, others, strict=True):
            reason = _why_unusable(outcome)
            if reason or isinstance(outcome, Exception):
                failed[view] = f"{view.label()}: {reason}"
            else:
                good[view] = outcome
        return Outcome(subject, good, failed, self._prompt_of(first))

    def answer(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Any]:
        """Answer a round: once per distinct request, from memory or disk where it is known."""
        asked = list(dict.fromkeys(requests))
        self._keys = {r: self._key(r) for r in asked}
        first: dict[Hashable, Request[Any]] = {}  # of those for which the model reads the same
        for request, key in self._keys.items():
            first.setdefault(key, request)
        distinct = list(first.values())
        answers = {r: found for r in distinct if (found := self._cache.get(self._keys[r])) is not None}
        stored = self._from_store([r for r in distinct if r not in answers])
        answers.update(stored)
        missing = [r for r in distinct if r not in answers]
        for request, answer in stored.items():
            self._cache.put(self._keys[request], answer)
        self.misses += len(missing)
        self.hits += len(requests) - len(missing)
        self.stored_hits += len(stored)
        began = time.perf_counter()
        self._fresh = {}
        try:
            self._ask(missing)
        finally:  # whatever ended it, what was answered is kept, and told
            if self._store is not None:
                self._store.flush()
            known = {r: first[self._keys[r]] for r in asked}
            known = {r: one for r, one in known.items() if one in answers or one in self._fresh}
            self._told(list(known), self._fresh, time.perf_counter() - began)
        found = {**answers, **self._fresh}
        return {r: found[one] for r, one in known.items()}

    def _ask(self, missing: Sequence[Request[Any]]) -> None:
        """Ask the embedder and the backend; their answers settle."""
        embeds = [r for r in missing if isinstance(r, Embed)]
        others = [r for r in missing if not isinstance(r, Embed)]
        self._settled(self._embedded(embeds))
        if others and self._planner is not None:
            self._planner.answer(others)  # which settles them batch by batch
        elif others:
            self._settled(self.backend.answer(others))  # type: ignore[union-attr]

    def _settled(self, answers: Mapping[Request[Any], Any]) -> None:
        """Keep answers as they come in, so that a run that is ended early has not asked in vain."""
        self._fresh.update(answers)
        good = {r: a for r, a in answers.items() if not isinstance(a, Exception)}
        for request, answer in good.items():
            self._cache.put(self._keys[request], answer)
        if self._store is not None and good:
            self._store.put_soon({self._stored_key(r): a for r, a in good.items() if self._kept(r)})
        if self._deadline is not None and time.perf_counter() > self._deadline:
            raise TimedOut

    def resolution(self, base: View) -> NoiseFloor:
        """How far the base is from itself in another batch shape; nothing for a server."""
        if self._planner is None:
            return NoiseFloor()
        if self._resolution is None:
            self._resolution = self._planner.resolution(base)
        return self._resolution

    def stats(self) -> dict[str, float]:
        """What the run cost; the contract's names, and ours."""
        total = self.hits + self.misses
        counted = {"cache_hits": self.hits, "cache_misses": self.misses, "stored_hits": self.stored_hits}
        rate = {"hit_rate": self.hits / total if total else 0.0}
        planned = self._planner.costs.as_dict() if self._planner is not None else {}
        return {**counted, **rate, **planned}

    def determinism(self) -> Any:
        """What the backend says of how far two runs can be expected to agree; None where it says nothing."""
        told = getattr(self.backend, "determinism", None)
        return told(alone=self._alone) if told is not None else None

    def close(self) -> None:
        """Let go of the file of answers."""
        if self._store is not None:
            self._store.close()

    def notes(self) -> list[str]:
        """What a reader of the report should know of the prompts, the cache and the trace."""
        of_prompts: list[str] = getattr(self.backend, "prompt_notes", list)()
        told = [*of_prompts, *(self._store.notes() if self._store is not None else ())]
        return [*told, self._trace.trouble] if self._trace is not None and self._trace.trouble else told

    def _embedded(self, requests: Sequence[Embed]) -> dict[Request[Any], Any]:
        """Vectors, or the error that stands for each."""
        answers: dict[Request[Any], Any] = {}
        for model in dict.fromkeys(request.model for request in requests):
            mine = [request for request in requests if request.model == model]
            try:
                if self._embedder is None:
                    raise RequestError("there is no sentence embedder: pip install 'pytest-sway[semsim]'")
                answers.update(zip(mine, self._embedder.embed([r.text for r in mine], model), strict=True))
            except RequestError as error:
                answers.update(dict.fromkeys(mine, error))
        return answers

    def _key(self, request: Request[Any]) -> Hashable:
        """The name of its answer; one that cannot be encoded is itself, and its answer says why."""
        if self._planner is None or type(request) not in KEPT:
            return request
        try:
            return self._planner.key(request, self._identity)
        except RequestError:
            return request

    def _stored_key(self, request: Request[Any]) -> bytes:
        """The name of its answer on disk."""
        key = self._keys[request]
        return key if isinstance(key, bytes) else key_of(request, self._identity)

    def _prompt_of(self, requests: Sequence[Any]) -> str:
        """The first request's prompt as the model reads it."""
        rendered = getattr(self.backend, "rendered_prompt", None)
        if rendered is None or not requests:
            return ""
        try:
            text: str = rendered(requests[0].prompt)
        except RequestError:  # the measure did without it
            return ""
        return text

    def _kept(self, request: Request[Any]) -> bool:
        """Whether the disk may know its answer: it knows our own requests alone."""
        if type(request) not in KEPT:
            return False
        return self._nulls_kept or all(view.null is None for view in request.views)

    def _from_store(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        if self._store is None:
            return {}
        wanted = {self._stored_key(r): r for r in requests if self._kept(r)}
        return {wanted[key]: answer for key, answer in self._store.get(wanted).items()}

    def _told(self, asked: Sequence[Request[Any]], fresh: Mapping[Request[Any], Any], spent: float) -> None:
        if self._trace is None:
            return
        seconds = self._planner.seconds if self._planner is not None else {}
        share = spent / len(fresh) if fresh else 0.0
        self._trace.write(
            [(self._running, r, seconds.get(r, share) if r in fresh else 0.0, r not in fresh) for r in asked]
        )


def _why_unusable(outcome: Measurement | Exception) -> str:
    """Why a null's outcome is no draw; empty where it is one."""
    if isinstance(outcome, Exception):
        return str(outcome)
    return "" if outcome.is_finite else "its numbers are not finite"
