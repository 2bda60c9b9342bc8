"""What a chat template may take: a template is a program, and it comes with a model of anybody's."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from transformers.utils import chat_template_utils

from pytest_sway.computing_limits import LimitExceeded, limited_memory, limited_time
from pytest_sway.requests import RequestError

LONGEST_TEMPLATE = 1 << 20
"""Characters; the longest of well-known models have about 30,000."""
_SECONDS = 3.0
"""Of the processor, for compiling a template and for each rendering; usual ones take milliseconds."""
_MEMORY = 512 << 20
_LONGEST_TEXT = 16 << 20
"""Characters of a rendered text."""
_SHORT = 2000
"""Characters of a dialogue that a template must render within the limits."""
_ADVICE = "set another template (defaults: {chat_template: FILE}), or use raw prompts"


@dataclass
class _Ended:
    """Why a template was ended: with every dialogue, or with those that have these digests."""

    always: str = ""
    dialogues: dict[str, str] = field(default_factory=dict)
    short_ones: int = 0


_ended: defaultdict[str, _Ended] = defaultdict(_Ended)
"""By the digest of a template; it is not rendered again."""


class RenderingLimitError(RequestError):
    """A template is too long, or its rendering takes too long, too much memory, or writes too much."""


def compile_within_limits(source: Any, text: str) -> None:
    """Compile a template, which transformers keeps: the time for it does not count in a rendering.

    Args:
        source: the template's text, or its texts by name.
        text: the one that is rendered.

    Raises:
        RenderingLimitError: it exceeds a limit, now or in an earlier call.
        Exception: whatever jinja raises.
    """
    texts = source.values() if isinstance(source, dict) else [source]
    length = sum(len(text) for text in texts if isinstance(text, str))
    if length > LONGEST_TEMPLATE:
        reason = f"it has {length:,} characters, and the limit is {LONGEST_TEMPLATE:,}"
        raise RenderingLimitError(f"the chat template cannot be used: {reason}; {_ADVICE}")
    ended = _ended[_digest(source)]
    if ended.always:
        raise RenderingLimitError(ended.always)
    try:
        with limited_memory(_MEMORY), limited_time(_SECONDS):
            chat_template_utils._compile_jinja_template(text)  # noqa: SLF001 - no public function keeps it
    except LimitExceeded as error:
        ended.always = f"the chat template cannot be used: {error} when compiled; {_ADVICE}"
        raise RenderingLimitError(ended.always) from error


@contextmanager
def rendering_limits(source: Any, dialogue: str, *, is_trial: bool) -> Iterator[None]:
    """Render a template in the block.

    A template that is ended at one dialogue may be slow for that one alone, if it is long. It renders no
    other once it was ended at a trial, or at two short dialogues.

    Args:
        source: the template's text, or its texts by name.
        dialogue: what is rendered, and its arguments, as text.
        is_trial: whether its texts are those that are tried before a template's first prompt.

    Raises:
        RenderingLimitError: it exceeds a limit, now or in an earlier block.
    """
    ended, digest = _ended[_digest(source)], _digest(dialogue)
    if reason := ended.always or ended.dialogues.get(digest, ""):
        raise RenderingLimitError(reason)
    try:
        with limited_memory(_MEMORY), limited_time(_SECONDS):
            yield
    except LimitExceeded as error:
        ended.short_ones += len(dialogue) <= _SHORT
        if is_trial or ended.short_ones > 1:
            ended.always = message = f"the chat template cannot be used: {error} when rendered; {_ADVICE}"
        else:
            message = f"the chat template cannot render this dialogue: {error}; shorten it, {_ADVICE}"
            ended.dialogues[digest] = message
        raise RenderingLimitError(message) from error


def _digest(text: Any) -> str:
    return hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest()


def check_rendered_text(text: Any) -> None:
    """Raise RenderingLimitError where a rendering is no text that a prompt could be."""
    if not isinstance(text, str):
        raise RenderingLimitError(f"the chat template renders a {type(text).__name__}, not a text; {_ADVICE}")
    if len(text) > _LONGEST_TEXT:
        raise RenderingLimitError(
            f"the chat template renders {len(text):,} characters; the limit is {_LONGEST_TEXT:,}; {_ADVICE}"
        )
