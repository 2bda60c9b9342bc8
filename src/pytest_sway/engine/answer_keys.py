"""Names of answers: what a model reads for a request, by which weights it is read, and how it is scored."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from typing import Any

from pytest_sway.backends.base import TokenizingBackend
from pytest_sway.requests import Completion, Divergence, Generate, Request

STORABLE = (Divergence, Completion, Generate)
"""Requests whose answers may be kept on disk."""
_SCHEME = 3
"""Answers of another scheme are never found; another one where a view's null weights are made otherwise."""


def key_of(request: Request[Any], identity: str) -> bytes:
    """16 bytes that name a request to a backend that answers whole requests.

    Its text says everything that it asks; ``identity`` says what else the answer depends on (a server's
    chat template among it).
    """
    return _digest(identity, repr(request), ())


def read_key(request: Request[Any], identity: str, tokenizer: TokenizingBackend) -> bytes:
    """16 bytes that name what a model reads for a request, so that no other prompt can have its answer.

    Two requests have one key where the model reads the same ids for them and the same of them is scored,
    whatever their texts; a text that is rendered otherwise today than yesterday has another key.

    Args:
        request: one of ``STORABLE``.
        identity: what the numbers depend on beside weights and ids.
        tokenizer: makes the ids.

    Raises:
        RequestError: it cannot be encoded.
    """
    if isinstance(request, Divergence):
        prompt = tokenizer.encode(request.prompt)
        what = f"divergence {request.kind} {len(prompt)} {request.p!r} {request.q!r}"
        return _digest(identity, what, (*prompt, *request.continuation))
    if isinstance(request, Completion):
        ids, first = tokenizer.encode_pair(request.prompt, request.completion)
        is_rolling = request.prompt == ""  # a rolling text may be longer than the context
        return _digest(identity, f"completion {first} {is_rolling} {request.view!r}", ids)
    if isinstance(request, Generate):
        what = f"generate {request.max_new_tokens} {request.view!r}"
        return _digest(identity, what, tokenizer.encode(request.prompt))
    raise TypeError(f"a model cannot answer requests of type {type(request).__name__}")


def _digest(identity: str, what: str, ids: Sequence[int]) -> bytes:
    total = hashlib.blake2b(f"{_SCHEME}\n{identity}\n{what}\n".encode(), digest_size=16)
    total.update(array("q", ids).tobytes())
    return total.digest()
