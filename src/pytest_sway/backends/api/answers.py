"""What OpenAI-compatible servers answer: the fields that are read. vLLM's own are beside the others."""

from __future__ import annotations

from typing import Any

import msgspec


class ServedModel(msgspec.Struct):
    """An entry of ``/v1/models``.

    Attributes:
        id: the name that requests use.
        root: vLLM: the folder or hub name that it was started with; of an adapter its folder.
        parent: vLLM: of an adapter, its base's ``id``.
        max_model_len: vLLM: tokens of a text, with what is written after it.
        owned_by: which server it is, more or less.
    """

    id: str
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None
    owned_by: str | None = None


class ModelList(msgspec.Struct):
    """The answer of ``/v1/models``."""

    data: list[ServedModel]


class Version(msgspec.Struct):
    """The answer of ``/version``."""

    version: str


class TokenizeAnswer(msgspec.Struct):
    """The answer of ``/tokenize``."""

    tokens: list[int]


class PromptLogprob(msgspec.Struct, gc=False):
    """What vLLM says of one token of a prompt."""

    logprob: float


class Logprobs(msgspec.Struct):
    """Log-probabilities of echoed and of written tokens.

    Attributes:
        tokens: ``token_id:7`` where the server was asked for ids and knows how to give them.
        token_logprobs: of each of them; of the first token of a prompt there is none.
        top_logprobs: the likeliest tokens at each place.
    """

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] | None = None


class Choice(msgspec.Struct):
    """One text's answer; ``token_ids`` and the ``prompt_`` fields are vLLM's."""

    index: int = 0
    logprobs: Logprobs | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None
    prompt_logprobs: list[dict[str, PromptLogprob] | None] | None = None


class Usage(msgspec.Struct):
    """Tokens that were read and written."""

    prompt_tokens: int = 0
    completion_tokens: int | None = 0


class CompletionAnswer(msgspec.Struct):
    """The answer of ``/v1/completions``."""

    choices: list[Choice]
    model: str = ""
    usage: Usage | None = None


def refusal_text(content: bytes) -> str:
    """Why a server refuses, from its answer: the message of OpenAI's form, or the text itself, shortened."""
    try:
        found: Any = msgspec.json.decode(content)
    except (msgspec.MsgspecError, RecursionError):
        found = content.decode(errors="replace")
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    text = " ".join(str(found).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


_LONGEST = 300
