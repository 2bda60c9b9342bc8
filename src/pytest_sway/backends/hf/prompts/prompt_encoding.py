"""The part of a backend that is its tokenizer's: prompts to ids and back."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sway.backends.base import TokenizingBackend
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.requests import Prompt, Tokenized

_SERVED = frozenset({"divergence", "completion", "generate", "scale", "nulls"})


class PromptEncoding(TokenizingBackend):
    """A backend whose prompts :class:`PromptTokenizer` encodes, and that answers everything about them."""

    _tokens: PromptTokenizer
    """Of both sides; it may change with the adapter that is attached."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Everything but what the tokenizer lacks: a chat template, one that shows tools, offsets."""
        return _SERVED | self._tokens.capabilities

    @property
    def leading(self) -> tuple[int, ...]:
        """Special tokens that stand before every text."""
        return self._tokens.leading

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt."""
        return self._tokens.encode(prompt)

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        """Token ids of both, and the index of the completion's first token."""
        return self._tokens.encode_pair(prompt, completion)

    def rendered_prompt(self, prompt: Prompt) -> str:
        """What the model reads of a prompt, as text, special tokens included."""
        return self._tokens.rendered_text(prompt)

    def prompt_notes(self) -> list[str]:
        """What a reader of the report should know of the prompts so far."""
        return self._tokens.notes()

    def tokenized(self, text: str) -> Tokenized:
        """A text's own ids and where each of them ends."""
        return self._tokens.tokenized(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        return self._tokens.decode(ids)
