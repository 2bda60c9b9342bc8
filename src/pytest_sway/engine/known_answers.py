"""Answers that need not be asked for again: from memory, and of earlier sessions from disk."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from pytest_sway.backends.base import AnsweringBackend, TokenizingBackend
from pytest_sway.engine.answer_keys import STORABLE, key_of, read_key
from pytest_sway.engine.disk_cache import DiskCache
from pytest_sway.engine.memory_cache import MemoryCache
from pytest_sway.engine.portable_answers import PortableAnswers
from pytest_sway.requests import Request, RequestError


class KnownAnswers:
    """The answers of one backend, by content.

    The key of an answer is what the model reads, token by token, and the views that read it, named by
    content: an answer never outlives the weights and the prompt that made it, and order cannot change one.
    (Of a backend that answers whole requests: the request.)

    Args:
        backend: encodes requests, where it has a tokenizer.
        identity: what the numbers depend on beside weights and ids.
        store: answers of earlier sessions; None keeps nothing on disk.
        portable: answers of a pack, which come before those of the store.
        record: takes every answer that is given, to be packed.
        variant: what portable answers depend on beside weights and ids.
    """

    def __init__(
        self,
        backend: AnsweringBackend | TokenizingBackend,
        identity: str,
        store: DiskCache | None,
        *,
        portable: PortableAnswers | None = None,
        record: PortableAnswers | None = None,
        variant: str = "",
    ) -> None:
        self._backend = backend
        self._identity = identity
        self._store = store
        self._portable, self._record, self._variant = portable, record, variant
        self._cache = MemoryCache()
        self._keys: dict[Request[Any], Hashable] = {}
        self.keep_nulls = True
        """Whether the nulls' answers may be read from disk and written there."""

    @property
    def is_kept(self) -> bool:
        """Whether answers go to disk."""
        return self._store is not None and not self._store.trouble

    def keys(self, requests: Sequence[Request[Any]]) -> Mapping[Request[Any], Hashable]:
        """The keys of a round's requests; what follows is about these requests."""
        self._keys = {request: self._key(request) for request in requests}
        return self._keys

    def from_memory(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        """Answers of this session."""
        found = {request: self._cache.get(self._keys[request]) for request in requests}
        return {request: answer for request, answer in found.items() if answer is not None}

    def from_disk(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        """Answers of earlier sessions; from now on they are in memory."""
        found = self._stored(requests)
        for request, answer in found.items():
            self._cache.put(self._keys[request], answer)
        return found

    def peek(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        """What is known of requests, in memory or on disk; nothing is counted and nothing moves."""
        self.keys(requests)
        found = self.from_memory(requests)
        return {**found, **self._stored([r for r in requests if r not in found])}

    def _stored(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        """What a pack and the disk know."""
        packed = self._packed(requests)
        if self._store is None:
            return packed
        wanted = {self._stored_key(r): r for r in requests if r not in packed and self._is_storable(r)}
        return {**packed, **{wanted[key]: answer for key, answer in self._store.get(wanted).items()}}

    def _packed(self, requests: Sequence[Request[Any]]) -> dict[Request[Any], Any]:
        """What a pack knows."""
        if self._portable is None:
            return {}
        wanted = {key: r for r in requests if (key := self._portable_key(r)) is not None}
        return {wanted[key]: answer for key, answer in self._portable.get(wanted).items()}

    def record(self, answers: Mapping[Request[Any], Any]) -> None:
        """Record what was answered, wherever it came from."""
        if self._record is not None:
            keyed = {self._portable_key(request): answer for request, answer in answers.items()}
            self._record.put({key: answer for key, answer in keyed.items() if key is not None})

    def _portable_key(self, request: Request[Any]) -> bytes | None:
        """The name of its answer in a pack; None where no pack has it."""
        if isinstance(self._backend, AnsweringBackend) or type(request) not in STORABLE:
            return None
        try:
            return read_key(request, f"portable {self._variant}", self._backend)
        except RequestError:
            return None

    def keep(self, answers: Mapping[Request[Any], Any]) -> None:
        """Keep answers in memory, and on disk within seconds."""
        for request, answer in answers.items():
            self._cache.put(self._keys[request], answer)
        if self._store is not None and answers:
            storable = [request for request in answers if self._is_storable(request)]
            self._store.put_soon({self._stored_key(request): answers[request] for request in storable})

    def flush(self) -> None:
        """Write to disk what waits for it."""
        if self._store is not None:
            self._store.flush()

    def close(self) -> None:
        """Let go of the file of answers."""
        if self._store is not None:
            self._store.close()

    def notes(self) -> list[str]:
        """What a reader of the report should know of the file."""
        return self._store.notes() if self._store is not None else []

    def _key(self, request: Request[Any]) -> Hashable:
        """The name of its answer; one that cannot be encoded is itself, and its answer says why."""
        if isinstance(self._backend, AnsweringBackend) or type(request) not in STORABLE:
            return request
        try:
            return read_key(request, self._identity, self._backend)
        except RequestError:
            return request

    def _stored_key(self, request: Request[Any]) -> bytes:
        """The name of its answer on disk."""
        key = self._keys[request]
        return key if isinstance(key, bytes) else key_of(request, self._identity)

    def _is_storable(self, request: Request[Any]) -> bool:
        """Whether the disk may know its answer: of requests of other types it keeps none."""
        if type(request) not in STORABLE:
            return False
        return self.keep_nulls or all(view.null is None for view in request.views)
