"""Continuations that were written, by their token ids: what the text was after each of their tokens.

A view of dlm-sway's protocol reads texts alone and turns no ids into text. The text after the first tokens
of a continuation is therefore the continuation that is that many tokens long: greedy, so it begins the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.backends.custom.open_view import OpenView
from pytest_sway.requests import Generate, Generation, RequestError, View

Written = tuple[str, tuple[int, ...]]
"""A prompt, and the ids behind it."""


@dataclass
class _Continuation:
    view: View
    text: str
    prefixes: list[str] | None = None
    """The text after each token, as far as it is known."""


class WrittenTexts:
    """The continuations of a session; they outlast an adapter, as the answers about the base do."""

    def __init__(self) -> None:
        self._known: dict[Written, _Continuation] = {}
        self.positions = self.left_out = 0

    def write(self, opened: OpenView, request: Generate) -> Generation:
        """Have a view continue a prompt, and remember it.

        Raises:
            RequestError: it cannot; or the view has the same ids for two texts.
        """
        prompt = str(request.prompt)
        text = opened.continue_text(prompt, request.max_new_tokens)
        ids = opened.ids_of_continuation(prompt, text)
        known = self._known.setdefault((prompt, ids), _Continuation(request.view, text))
        if known.text != text:
            raise RequestError(
                "rolling_logprob has the same token_ids for two texts; they must tell texts apart"
            )
        return Generation(text, ids)

    def writer(self, written: Written) -> View | None:
        """The view to be opened before :meth:`find_prefixes`; None where nothing is left to be found.

        Raises:
            RequestError: no view wrote these tokens.
        """
        if not written[1]:
            return None
        if written not in self._known:
            raise RequestError("the tokens of the continuation were not written by a view of this session")
        known = self._known[written]
        return known.view if known.prefixes is None else None

    def find_prefixes(self, opened: OpenView, written: Written) -> None:
        """Find the text after each token but where it ends inside a character.

        Raises:
            RequestError: the view cannot, or its continuations do not begin one another.
        """
        (prompt, ids), known = written, self._known[written]
        shorter = [opened.continue_text(prompt, count) for count in range(1, len(ids))]
        fitting = [text for text in shorter if known.text.startswith(text)]
        if shorter and not fitting:
            raise RequestError(
                f"generate(max_new_tokens=1) returned {shorter[0]!r}, with which the continuation of "
                f"{len(ids)} tokens does not begin; with temperature=0.0 it must be greedy"
            )
        known.prefixes = [*fitting, known.text]
        self.positions += len(ids)
        self.left_out += len(shorter) - len(fitting)

    def texts(self, written: Written) -> list[str]:
        """The prompt, and the prompt with the continuation after each of its tokens."""
        prompt, ids = written
        prefixes = self._known[written].prefixes or [] if ids else []
        return [prompt, *(prompt + prefix for prefix in prefixes)]
