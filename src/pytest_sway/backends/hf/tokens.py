"""Text to token ids: special tokens once, boundaries found on ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytest_sway.requests import Prompt, RequestError, Tokenized, ToolPrompt, Turn

_ANY_TOOL = json.dumps(
    {
        "type": "function",
        "function": {"name": "f", "description": "f", "parameters": {"type": "object", "properties": {}}},
    }
)


class Tokens:
    """A tokenizer, with one policy for special tokens and for the prompt's boundary.

    A text prompt gets the special tokens that the tokenizer puts *before* a text, never those it puts
    after one (a prompt goes on). Turns are rendered by the chat template, whose own text holds the
    special tokens, and are tokenised without adding any.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.leading = tuple(self._leading_specials())

    @cached_property
    def identity(self) -> str:
        """Digest of all by which it makes ids of a text: tokenizers with the same make the same."""
        tokenizer = self.tokenizer
        rules = getattr(tokenizer, "backend_tokenizer", None)
        made = rules.to_str() if rules is not None else _slow_rules(tokenizer)
        told = f"{made}\n{tokenizer.chat_template}\n{tokenizer.special_tokens_map}\n{self.leading}"
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()

    @property
    def has_chat_template(self) -> bool:
        """Whether turns can be rendered."""
        return bool(getattr(self.tokenizer, "chat_template", None))

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """Any of: tokens, chat_template, tools."""
        found = {"tokens"} if getattr(self.tokenizer, "is_fast", False) else set()
        if self.has_chat_template:
            found.add("chat_template")
            if self._shows_tools():
                found.add("tools")
        return frozenset(found)

    def tokenized(self, text: str) -> Tokenized:
        """A text's own ids, special tokens left out, and where each of them ends.

        Raises:
            RequestError: the tokenizer does not know where its tokens stand.
        """
        if "tokens" not in self.capabilities:
            raise RequestError("the tokenizer is written in Python and gives no offsets: save a fast one")
        cut = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return Tokenized(tuple(cut.input_ids), tuple(end for _, end in cut.offset_mapping))

    def encode(self, prompt: Prompt) -> list[int]:
        """Ids of a prompt.

        Raises:
            RequestError: it has no token at all, or turns meet a tokenizer without a chat template.
        """
        ids = self._ids(prompt, "")
        if not ids:
            raise RequestError("an empty prompt has no token, and this tokenizer adds none: give a text")
        return ids

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        """Ids of prompt and completion in one text, and where the completion begins.

        The boundary is the length of the common prefix with the prompt's own ids, so a token that spans
        both belongs to the completion. Where nothing stands before it, the completion's first token has
        no predecessor and is not scored.

        Raises:
            RequestError: no token of the completion can be scored.
        """
        alone, both = self._ids(prompt, ""), self._ids(prompt, completion)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(alone, both, strict=False)))
        first = max(same, 1)
        if first >= len(both):
            raise RequestError(f"the completion {completion!r} has no token of its own to score")
        return both, first

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def _ids(self, prompt: Prompt, completion: str) -> list[int]:
        if isinstance(prompt, str):
            return [*self.leading, *self._plain(prompt + completion)]
        return self._plain(self._rendered(prompt) + completion)

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _rendered(self, prompt: Prompt) -> str:
        if not self.has_chat_template:
            raise RequestError("the tokenizer has no chat template, so dialogues cannot be rendered")
        tools = [json.loads(tool) for tool in prompt.tools] if isinstance(prompt, ToolPrompt) else None
        dialogue = prompt.turns if isinstance(prompt, ToolPrompt) else prompt
        turns = [asdict(turn) for turn in dialogue if not isinstance(turn, str)]
        try:
            text: str = self.tokenizer.apply_chat_template(
                turns, tools=tools, tokenize=False, add_generation_prompt=True
            )
        except Exception as error:
            raise RequestError(f"the chat template refused the dialogue: {error}") from error
        return text

    def _shows_tools(self) -> bool:
        """Whether the chat template says anything of the tools that it is given."""
        asked = (Turn("user", "a"),)
        try:
            return self._rendered(asked) != self._rendered(ToolPrompt(asked, (_ANY_TOOL,)))
        except RequestError:
            return False

    def _leading_specials(self) -> list[int]:
        """What the tokenizer puts before a text: found by encoding one with and without."""
        plain = self._plain("a")
        full: list[int] = self.tokenizer("a", verbose=False).input_ids
        for start in range(len(full) - len(plain) + 1):
            if full[start : start + len(plain)] == plain:
                return full[:start]
        return []


def _slow_rules(tokenizer: Any) -> str:
    """The rules of a tokenizer written in Python: its class and its vocabulary's file."""
    path = getattr(tokenizer, "vocab_file", None)
    content = Path(path).read_bytes() if path and Path(path).is_file() else b""
    return f"{type(tokenizer).__qualname__} {hashlib.blake2b(content).hexdigest()} {tokenizer.get_vocab()}"
