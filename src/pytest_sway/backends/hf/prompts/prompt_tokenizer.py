"""From prompts to token ids: special tokens, chat template, and where a completion begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

from pytest_sway.backends.hf.model_files import text_digest
from pytest_sway.backends.hf.prompts.chat_template import ChatTemplate, TemplateSettings, turns_and_tools
from pytest_sway.backends.hf.prompts.prompt_log import PromptLog
from pytest_sway.backends.hf.prompts.tokenizer_rules import panics_as_errors
from pytest_sway.requests import Prompt, RequestError, Tokenized

_ANY_TOOL = json.dumps(
    {
        "type": "function",
        "function": {"name": "f", "description": "f", "parameters": {"type": "object", "properties": {}}},
    }
)
_MAX_REMEMBERED_IDS = 1 << 20
"""Ids of prompts that are kept; when there are more, all are dropped."""


class PromptTokenizer:
    """A tokenizer, with one policy for special tokens and for the prompt's boundary.

    A text prompt gets the special tokens that the tokenizer puts *before* a text, never those it puts
    after one (a prompt goes on). Turns are rendered by the chat template, whose own text holds the
    special tokens, and are tokenised without adding any. A user's turn that is a rendered chat already is
    not rendered again. However many of them text and template bring, one beginning-of-text token is left.

    Args:
        tokenizer: of transformers.
        settings: how turns are rendered.
    """

    def __init__(self, tokenizer: Any, settings: TemplateSettings | None = None) -> None:
        self.tokenizer = tokenizer
        self.chat = ChatTemplate(tokenizer, settings or TemplateSettings())
        self.leading = tuple(self._leading_specials())
        self._log = PromptLog()
        self._pairs: dict[tuple[Prompt, str], tuple[list[int], int]] = {}
        self._prompts: dict[Prompt, list[int]] = {}
        self._texts: dict[Prompt, str] = {}
        self._remembered = 0

    @cached_property
    def identity(self) -> str:
        """Digest of everything that token ids depend on."""
        tokenizer = self.tokenizer
        rules = getattr(tokenizer, "backend_tokenizer", None)
        algorithm = rules.to_str() if rules is not None else _python_tokenizer_identity(tokenizer)
        text = f"{algorithm}\n{self.chat.source}\n{tokenizer.special_tokens_map}\n{self.leading}"
        text += self.chat.settings.identity
        return text_digest(text)

    def with_tokenizer(self, tokenizer: Any) -> PromptTokenizer:
        """Another tokenizer with the same settings; this one where both give the same ids."""
        other = PromptTokenizer(tokenizer, self.chat.settings)
        return self if other.identity == self.identity else other

    @property
    def has_chat_template(self) -> bool:
        """Whether turns can be rendered."""
        return bool(self.chat.source)

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """Any of: tokens, chat_template, tools."""
        capabilities = {"tokens"} if getattr(self.tokenizer, "is_fast", False) else set()
        if self.has_chat_template:
            capabilities.add("chat_template")
            if self.chat.shows_tools(_ANY_TOOL):
                capabilities.add("tools")
        return frozenset(capabilities)

    def notes(self) -> list[str]:
        """What a reader of the report should know of the prompts that were encoded so far."""
        return self._log.notes(self.chat, self.tokenizer.bos_token, adds_bos=self._bos in self.leading)

    def tokenized(self, text: str) -> Tokenized:
        """A text's own ids, special tokens left out, and where each of them ends.

        Raises:
            RequestError: the tokenizer does not know where its tokens stand.
        """
        if "tokens" not in self.capabilities:
            raise RequestError(
                "the positions of tokens in the text are unknown, because the tokenizer is a slow (Python) "
                "tokenizer, which returns no offsets; save a fast tokenizer (tokenizer.json)"
            )
        with panics_as_errors():
            cut = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return Tokenized(tuple(cut.input_ids), tuple(end for _, end in cut.offset_mapping))

    def encode(self, prompt: Prompt) -> list[int]:
        """Ids of a prompt; not to be changed, since they are remembered.

        Raises:
            RequestError: it has no token at all, or its turns cannot be rendered truthfully.
        """
        if prompt not in self._prompts:
            ids = self._ids(prompt, "")
            if not ids:
                raise RequestError(
                    "an empty prompt has no tokens with this tokenizer; use a non-empty prompt"
                )
            self._evict_for(ids)
            self._prompts[prompt] = ids
        return self._prompts[prompt]

    def encode_pair(self, prompt: Prompt, completion: str) -> tuple[list[int], int]:
        """Ids of prompt and completion in one text, and where the completion begins.

        The boundary is the length of the common prefix with the prompt's own ids, so a token that spans
        both belongs to the completion. Where nothing stands before it, the completion's first token has
        no predecessor and is not scored.

        Raises:
            RequestError: no token of the completion can be scored, or turns cannot be rendered truthfully.
        """
        key = prompt, completion
        if key not in self._pairs:
            prompt_ids, both = self._ids(prompt, ""), self._ids(prompt, completion)
            pairs = zip(prompt_ids, both, strict=False)
            common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            first = max(common, 1)
            if first >= len(both):
                raise RequestError(f"the completion {completion!r} adds no token that can be scored")
            self._evict_for(both)
            self._pairs[key] = both, first
        return self._pairs[key]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without special tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def rendered_text(self, prompt: Prompt) -> str:
        """What the model reads of a prompt, as text, special tokens included."""
        text: str = self.tokenizer.decode(self.encode(prompt), skip_special_tokens=False)
        return text

    def _evict_for(self, ids: Sequence[int]) -> None:
        if self._remembered > _MAX_REMEMBERED_IDS:
            self._pairs.clear()
            self._prompts.clear()
            self._texts.clear()
            self._remembered = 0
        self._remembered += len(ids)

    @property
    def _bos(self) -> int | None:
        token: int | None = self.tokenizer.bos_token_id
        return token

    def _ids(self, prompt: Prompt, completion: str) -> list[int]:
        if isinstance(prompt, str):
            self._log.kinds.add("raw")
            return self._single_bos([*self.leading, *self._token_ids(prompt + completion)], len(self.leading))
        if prompt not in self._texts:
            self._texts[prompt] = self._text(prompt)
        return self._single_bos(self._token_ids(self._texts[prompt] + completion), 1)

    def _text(self, prompt: Prompt) -> str:
        """What the model reads of turns, as text: rendered by the template, or before."""
        if (existing := self._already_rendered(prompt)) is not None:
            return existing
        text = self.chat.render(prompt)
        bos = self.tokenizer.bos_token
        self._log.kinds |= {"chat", "twice"} if bos and text.startswith(bos + bos) else {"chat"}
        return text

    def _single_bos(self, ids: list[int], at: int) -> list[int]:
        """Ids without a second beginning-of-text token right behind the ``at`` first ones."""
        while 0 < at < len(ids) and ids[at - 1] == ids[at] == self._bos:
            ids = [*ids[:at], *ids[at + 1 :]]
        return ids

    def _already_rendered(self, prompt: Prompt) -> str | None:
        """The text of a user's turn that is a rendered chat, with its beginning of text; None for others.

        Raises:
            RequestError: more than this turn would have to be rendered.
        """
        turns, tools = turns_and_tools(prompt)
        frame = self.chat.frame if self.has_chat_template else None
        if frame is None:
            return None
        rendered = [t.content for t in turns if t.role == "user" and frame.occurs_in(t.content)]
        if not rendered:
            return None
        if len(turns) > 1 or tools:
            raise RequestError(
                f"a prompt is already formatted as a chat (it contains {frame.header!r}), so no turn or tool "
                "can be added to it; write the prompt as plain text"
            )
        self._log.already_rendered.add(rendered[0])
        bos = self.tokenizer.bos_token if frame.writes_bos else ""
        return rendered[0] if rendered[0].startswith(bos) else bos + rendered[0]

    def _token_ids(self, text: str) -> list[int]:
        with panics_as_errors():
            ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

    def _leading_specials(self) -> list[int]:
        """What the tokenizer puts before a text: found by encoding one with and without."""
        plain = self._token_ids("a")
        full: list[int] = self.tokenizer("a", verbose=False).input_ids
        for start in range(len(full) - len(plain) + 1):
            if full[start : start + len(plain)] == plain:
                return full[:start]
        return []


def digest_with_tokenizer(digest: str, base: PromptTokenizer, used: PromptTokenizer) -> str:
    """A base model's digest; another one where the subject brings a tokenizer of its own."""
    if used is base:
        return digest
    return text_digest(f"{digest}:{used.identity}")


def _python_tokenizer_identity(tokenizer: Any) -> str:
    """What the ids of a tokenizer written in Python depend on: its class and its vocabulary file."""
    path = getattr(tokenizer, "vocab_file", None)
    content = Path(path).read_bytes() if path and Path(path).is_file() else b""
    return f"{type(tokenizer).__qualname__} {hashlib.blake2b(content).hexdigest()} {tokenizer.get_vocab()}"
