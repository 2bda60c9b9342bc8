"""The spec's own chat template and its arguments, read and checked before a prompt is rendered."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.model_files import text_digest
from pytest_sway.backends.hf.prompts.chat_template import ChatTemplate, TemplateSettings, current_time
from pytest_sway.backends.hf.prompts.rendering_checks import marker_text
from pytest_sway.regular_files import read_regular
from pytest_sway.requests import RequestError, Turn
from pytest_sway.spec.chat_template_fields import MOST_BYTES


def read_template_settings(key: ModelKey, tokenizer: Any, moment: datetime | None) -> TemplateSettings:
    """How turns are rendered for a model.

    Args:
        key: names the spec's template file and its arguments.
        tokenizer: whose special tokens a template writes.
        moment: what templates print as the present; None: the time of the call.

    Raises:
        BackendError: the file cannot be read, or is no template.
    """
    template = _read_text(key.chat_template)
    settings = TemplateSettings(template, key.chat_template_kwargs, moment or current_time())
    if settings.template is not None:
        try:
            ChatTemplate(tokenizer, settings).render_unchecked((Turn("user", marker_text(0)),))
        except RequestError as error:
            line = getattr(error.__cause__, "lineno", None)  # of jinja's syntax errors
            if line is not None:
                raise BackendError(
                    f"defaults.chat_template: {key.chat_template}, line {line}: {error.__cause__}"
                ) from error
    return settings


def digest_with_settings(digest: str, settings: TemplateSettings) -> str:
    """A base model's digest; another one where the spec says how turns are rendered."""
    if not settings.identity:
        return digest
    return text_digest(f"{digest}:{settings.identity}")


def check_template_arguments(chat: ChatTemplate) -> None:
    """Raise BackendError where the spec gives an argument that the template does not name."""
    source = chat.source
    text = "\n".join(source.values()) if isinstance(source, dict) else source or ""
    for name in chat.arguments:
        if not re.search(rf"\b{re.escape(name)}\b", text):
            reason = (
                f"the chat template does not use {name!r}" if text else "the tokenizer has no chat template"
            )
            raise BackendError(
                f"defaults.chat_template_kwargs: {reason}; remove {name!r} or correct the name"
            )


def _read_text(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        text = read_regular(Path(file), MOST_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(f"defaults.chat_template: {file} cannot be read: {error}") from error
    return text.replace("\r\n", "\n")  # a file saved on Windows renders the same prompts
