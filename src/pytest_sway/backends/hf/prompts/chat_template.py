"""Renders turns with a chat template, with one date and the spec's arguments, and checks the text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from transformers.utils import chat_template_utils

from pytest_sway.backends.hf.prompts.chat_frame import ChatFrame, chat_frame
from pytest_sway.backends.hf.prompts.rendering_checks import (
    changed_text_fault,
    marker_fault,
    marker_text,
    prints_lists,
    rendering_difference,
)
from pytest_sway.backends.hf.prompts.rendering_limits import (
    RenderingLimitError,
    check_rendered_text,
    compile_within_limits,
    rendering_limits,
)
from pytest_sway.requests import Prompt, RequestError, ToolPrompt, Turn

ContentForm = Literal["text", "parts"]
_OTHER_TIME = timedelta(days=397, hours=5, minutes=7)
"""Another year, month, day of the month and of the week, hour and minute."""
_REPEATS = 8
"""Renderings of the same turns that are compared before a template's first prompt."""


def current_time() -> datetime:
    """The time, read from where transformers' ``strftime_now`` reads it."""
    time: datetime = chat_template_utils.datetime.now()
    return time


@dataclass(frozen=True)
class TemplateSettings:
    """How the spec says that turns are rendered.

    Attributes:
        template: text of the spec's own chat template; None: the tokenizer's.
        arguments: the spec's ``chat_template_kwargs`` as JSON text.
        moment: what ``strftime_now`` prints, in every prompt of the run.
    """

    template: str | None = None
    arguments: str = "{}"
    moment: datetime = field(default_factory=current_time)

    @property
    def identity(self) -> str:
        """Text that is the same for the same settings; empty where the spec gives none."""
        has_settings = self.template is not None or self.arguments != "{}"
        return f"{self.arguments}\n{self.template}" if has_settings else ""


class _FixedClock:
    """Replaces ``datetime`` while a template is rendered, and notes whether it was read."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment
        self.was_read = False

    def now(self, tz: object = None) -> datetime:
        self.was_read = True
        return self._moment

    @contextmanager
    def replace_datetime(self) -> Iterator[None]:
        before = chat_template_utils.datetime
        chat_template_utils.datetime = self
        try:
            yield
        finally:
            chat_template_utils.datetime = before


class ChatTemplate:
    """A tokenizer's chat template, or the spec's own in its place; rendered by transformers' sandbox.

    Before the first prompt with some roles and tools, turns with marker texts are rendered: the result must
    hold every marker, in order, with contents given as strings or else as lists of parts. After that, every
    rendered prompt must hold its own texts; white space at their ends may be trimmed.
    """

    def __init__(self, tokenizer: Any, settings: TemplateSettings) -> None:
        self._tokenizer = tokenizer
        self.settings = settings
        self.arguments: dict[str, Any] = json.loads(settings.arguments)
        self._clock = _FixedClock(settings.moment)
        self.has_date = False
        """Whether a prompt that was rendered is another text at another time."""
        self._forms: dict[tuple[tuple[str, ...], tuple[str, ...]], ContentForm] = {}

    @property
    def source(self) -> Any:
        """The template's text, or its texts by name; None or empty where there is none."""
        own = self.settings.template
        return getattr(self._tokenizer, "chat_template", None) if own is None else own

    def render(self, prompt: Prompt) -> str:
        """The text of a prompt's turns.

        Raises:
            RequestError: there is no template, it refuses the turns, or it does not render their texts.
        """
        turns, tools = turns_and_tools(prompt)
        if not self.source:
            raise RequestError("the tokenizer has no chat template, so dialogues cannot be rendered")
        form = self._content_form(turns, tools)
        self._clock.was_read = False
        text = self.render_unchecked(turns, tools, form)
        if self._clock.was_read and not self.has_date:
            settings = replace(self.settings, moment=self.settings.moment - _OTHER_TIME)
            other = ChatTemplate(self._tokenizer, settings)
            self.has_date = other.render_unchecked(turns, tools, form) != text
        if difference := rendering_difference(text, self.render_unchecked(turns, tools, form)):
            raise RequestError(difference)
        if fault := changed_text_fault(turns, tools, text):
            raise RequestError(fault)
        return text

    def render_unchecked(
        self, turns: Sequence[Turn], tools: Sequence[str] = (), form: ContentForm = "text"
    ) -> str:
        """The text of turns, unchecked.

        Raises:
            RequestError: the template refuses them.
        """
        messages: list[dict[str, Any]] = [
            {
                "role": turn.role,
                "content": turn.content if form == "text" else [{"type": "text", "text": turn.content}],
            }
            for turn in turns
        ]
        dialogue = json.dumps([messages, tools, self.arguments])
        is_trial = all(turn.content == marker_text(index) for index, turn in enumerate(turns))
        try:
            self._compile(tools)
            with (
                self._clock.replace_datetime(),
                rendering_limits(self.source, dialogue, is_trial=is_trial),
            ):
                text: str = self._tokenizer.apply_chat_template(
                    messages,
                    tools=[json.loads(tool) for tool in tools] or None,
                    chat_template=self.settings.template,
                    tokenize=False,
                    add_generation_prompt=True,
                    **self.arguments,
                )
                check_rendered_text(text)
        except RenderingLimitError:
            raise
        except Exception as error:
            system = any(turn.role == "system" for turn in turns)
            source = "set by defaults.system_prompt or by the key context"
            hint = f"; the dialogue contains a system message ({source})" if system else ""
            raise RequestError(f"the chat template rejected the dialogue: {error}{hint}") from error
        return text

    def _compile(self, tools: Sequence[str]) -> None:
        if source := self.source:
            text = self._tokenizer.get_chat_template(self.settings.template, tools=list(tools) or None)
            compile_within_limits(source, text)

    @cached_property
    def frame(self) -> ChatFrame | None:
        """What is written around a single user's turn; None where the template does not take one."""
        marker = marker_text(0)
        turn = (Turn("user", marker),)
        try:
            text = self.render_unchecked(turn, (), self._content_form(turn, ()))
        except RequestError:
            return None
        before, _, after = text.partition(marker)
        added = getattr(self._tokenizer, "added_tokens_decoder", {}).values()
        bos = getattr(self._tokenizer, "bos_token", None) or ""
        return chat_frame(before, after, bos, [str(token).strip() for token in added])

    @property
    def opens_thinking(self) -> bool:
        """Whether the prompt for an answer ends inside a block of thoughts."""
        after = self.frame.after if self.frame is not None else ""
        return after.rfind("<think>") > after.rfind("</think>")

    @property
    def leaves_thinking_open(self) -> bool:
        """Whether the spec does not set ``enable_thinking``, and false would change the prompt."""
        if "enable_thinking" in self.arguments or "enable_thinking" not in str(self.source):
            return False
        arguments = json.dumps({**self.arguments, "enable_thinking": False})
        return ChatTemplate(self._tokenizer, replace(self.settings, arguments=arguments)).frame != self.frame

    def shows_tools(self, tool: str) -> bool:
        """Whether a tool changes what the template writes."""
        turn = (Turn("user", marker_text(0)),)
        try:
            return self.render_unchecked(turn) != self.render_unchecked(turn, (tool,))
        except RequestError:
            return False

    def _content_form(self, turns: Sequence[Turn], tools: tuple[str, ...]) -> ContentForm:
        """How the template takes contents of turns of these roles: as strings, else as lists of parts.

        Raises:
            RequestError: neither is.
        """
        shape = tuple(turn.role for turn in turns), tools
        if shape not in self._forms:
            marked = [Turn(turn.role, marker_text(index)) for index, turn in enumerate(turns)]
            self._forms[shape] = self._find_content_form(marked, tools)
        return self._forms[shape]

    def _find_content_form(self, marked: Sequence[Turn], tools: tuple[str, ...]) -> ContentForm:
        faults: list[str] = []
        forms: tuple[ContentForm, ...] = ("text", "parts")
        for form in forms:
            try:
                texts = [self.render_unchecked(marked, tools, form) for _ in range(_REPEATS)]
            except RenderingLimitError:
                raise
            except RequestError as error:
                faults.append(str(error))
                continue
            fault = marker_fault(marked, texts[0])
            if not fault and form == "parts" and prints_lists(texts[0]):
                fault = "the chat template does not support message contents that are lists of parts"
            if not fault:
                differences = [rendering_difference(texts[0], text) for text in texts]
                if difference := next(filter(None, differences), ""):
                    raise RequestError(difference)
                return form
            faults.append(fault)
        raise RequestError(faults[0])


def turns_and_tools(prompt: Prompt) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns and tools of a chat prompt."""
    if isinstance(prompt, ToolPrompt):
        return prompt.turns, prompt.tools
    assert not isinstance(prompt, str)
    return prompt, ()
