"""What a chat template may take: a template is a program, and it comes with a model of anybody's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_sway.computing_limits import LimitExceeded, limited_memory, limited_time
from pytest_sway.requests import RequestError

LONGEST_TEMPLATE = 1 << 20
"""Characters; the longest of well-known models have about 30,000."""
_SECONDS = 1.0
"""Of the processor, for one rendering; usual ones take a few milliseconds."""
_MEMORY = 512 << 20
_LONGEST_TEXT = 16 << 20
"""Characters of a rendered text."""
_ADVICE = "set another template (defaults: {chat_template: FILE}), or use raw prompts"
_exceeded: dict[str, str] = {}
"""By the digest of a template: why it was ended. It is not rendered again."""


class RenderingLimitError(RequestError):
    """A template is too long, or its rendering takes too long, too much memory, or writes too much."""


@contextmanager
def rendering_limits(source: Any) -> Iterator[None]:
    """Render a template in the block.

    Args:
        source: the template's text, or its texts by name.

    Raises:
        RenderingLimitError: it exceeds a limit, now or in an earlier block.
    """
    texts = source.values() if isinstance(source, dict) else [source]
    length = sum(len(text) for text in texts if isinstance(text, str))
    if length > LONGEST_TEMPLATE:
        reason = f"it has {length:,} characters, and the limit is {LONGEST_TEMPLATE:,}"
        raise RenderingLimitError(f"the chat template cannot be used: {reason}; {_ADVICE}")
    digest = hashlib.sha256(str(source).encode("utf-8", "surrogatepass")).hexdigest()
    if digest in _exceeded:
        raise RenderingLimitError(_exceeded[digest])
    try:
        with limited_memory(_MEMORY), limited_time(_SECONDS):
            yield
    except LimitExceeded as error:
        _exceeded[digest] = f"the chat template cannot be used: {error} when rendered; {_ADVICE}"
        raise RenderingLimitError(_exceeded[digest]) from error


def check_rendered_text(text: Any) -> None:
    """Raise RenderingLimitError where a rendering is no text that a prompt could be."""
    if not isinstance(text, str):
        raise RenderingLimitError(f"the chat template renders a {type(text).__name__}, not a text; {_ADVICE}")
    if len(text) > _LONGEST_TEXT:
        raise RenderingLimitError(
            f"the chat template renders {len(text):,} characters; the limit is {_LONGEST_TEXT:,}; {_ADVICE}"
        )
