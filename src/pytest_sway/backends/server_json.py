"""What answers of model servers have in common: they are decoded, and name tokens by their ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from pytest_sway.requests import RequestError

Answer = TypeVar("Answer")
_MOST_TOKENS = 1 << 31
"""Tokenizers hold ids in 32 bits, and raise for larger ones."""


def decode_answer(content: bytes, answer: type[Answer]) -> Answer:
    """An answer's JSON as the fields that are read.

    Raises:
        msgspec.MsgspecError: it has another form, or is nested too deeply.
    """
    try:
        return msgspec.json.decode(content, type=answer)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None


def check_token_ids(ids: Iterable[int]) -> None:
    """Raise RequestError for a number that can be no token's id."""
    wrong = next((one for one in ids if not 0 <= one < _MOST_TOKENS), None)
    if wrong is not None:
        raise RequestError(f"the server returned {wrong} as a token id")


def token_id(text: str) -> int:
    """The id that an answer has as text.

    Raises:
        RequestError: the text is no id.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        raise RequestError(f"the server returned {text[:40]!r} as a token id")
    number = int(text)
    check_token_ids([number])
    return number
