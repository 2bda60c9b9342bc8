"""Continuations that views wrote, and the texts that end after each of their tokens.

A view of dlm-sway's protocol reads texts alone and turns no token ids into text. Where a token ends in a
continuation is therefore found with the tokenizer, which all views share: up to there the text has the first
token ids of the whole.
"""

from __future__ import annotations

from pytest_sway.backends.custom.open_view import OpenView
from pytest_sway.requests import Divergence, Generate, Generation, RequestError

ContinuationKey = tuple[str, tuple[int, ...]]
"""A prompt, and the token ids that continue it."""


class Continuations:
    """Those of a session; they outlast an adapter, as the engine's answers about the base do."""

    def __init__(self) -> None:
        self._continuations: dict[ContinuationKey, str] = {}
        self._prefixes: dict[ContinuationKey, list[str]] = {}

    def write(self, view: OpenView, request: Generate) -> Generation:
        """Have a view continue a prompt, and remember it.

        Raises:
            RequestError: it cannot; or two continuations have the same ids.
        """
        prompt = str(request.prompt)
        text = view.continue_text(prompt, request.max_new_tokens)
        ids = view.token_ids(prompt + text)[view.count_tokens(prompt) :] if text else ()
        if self._continuations.setdefault((prompt, ids), text) != text:
            raise RequestError(
                "rolling_logprob returned the same token_ids for two texts; different texts must have "
                "different token_ids"
            )
        return Generation(text, ids)

    def texts(self, view: OpenView, request: Divergence) -> list[str]:
        """The texts after which a divergence is measured: the prompt alone, and up to the end of each token.

        A token that ends inside a character has no text of its own and is left out.

        Raises:
            RequestError: no view of this session wrote the continuation.
        """
        prompt = str(request.prompt)
        if not request.continuation:
            return [prompt]
        key = prompt, request.continuation
        if key not in self._continuations:
            raise RequestError(
                "cannot compare next-token distributions in a continuation that was not generated in this "
                "session"
            )
        if key not in self._prefixes:
            self._prefixes[key] = _prefixes(view, prompt, self._continuations[key])
        return [prompt, *(prompt + prefix for prefix in self._prefixes[key])]

    def note(self) -> str:
        """How many positions are left out; empty where none is."""
        total = sum(len(ids) for _, ids in self._prefixes)
        left_out = total - sum(map(len, self._prefixes.values()))
        if not left_out:
            return ""
        return (
            f"{left_out} of {total} token positions in continuations are skipped, because the text cannot be "
            "cut at these positions (e.g. inside a character that consists of several tokens)"
        )


def _prefixes(view: OpenView, prompt: str, continuation: str) -> list[str]:
    """A continuation up to the end of each of its tokens."""
    prefixes, tokens = [], view.count_tokens(prompt)
    whole = view.token_ids(prompt + continuation)
    for end in range(1, len(continuation)):
        ids = view.token_ids(prompt + continuation[:end])
        if tokens < len(ids) < len(whole) and ids == whole[: len(ids)]:
            prefixes.append(continuation[:end])
            tokens = len(ids)
    return [*prefixes, continuation]
