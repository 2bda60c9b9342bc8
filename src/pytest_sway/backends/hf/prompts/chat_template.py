"""Turns to text by a chat template: at one moment, with the spec's arguments, and checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from transformers.utils import chat_template_utils

from pytest_sway.backends.hf.prompts.chat_frame import Frame, frame_of
from pytest_sway.backends.hf.prompts.rendering_checks import (
    marker,
    prints_lists,
    unlike,
    why_changed,
    why_unmarked,
)
from pytest_sway.requests import Prompt, RequestError, ToolPrompt, Turn

Form = Literal["text", "parts"]
_LONG_AGO = timedelta(days=397, hours=5, minutes=7)
"""Another year, month, day of the month and of the week, hour and minute."""
_REPEATS = 8
"""Renderings of the same turns that are compared before a template's first prompt."""


def now() -> datetime:
    """The present moment, read as transformers' ``strftime_now`` reads it."""
    found: datetime = chat_template_utils.datetime.now()
    return found


@dataclass(frozen=True)
class ChatRules:
    """How a run renders turns.

    Attributes:
        template: text of the spec's own chat template; None: the tokenizer's.
        arguments: the spec's ``chat_template_kwargs`` as JSON text.
        moment: what ``strftime_now`` prints, in every prompt of the run.
    """

    template: str | None = None
    arguments: str = "{}"
    moment: datetime = field(default_factory=now)

    @property
    def identity(self) -> str:
        """What the spec says of the rendering; empty where it says nothing."""
        is_given = self.template is not None or self.arguments != "{}"
        return f"{self.arguments}\n{self.template}" if is_given else ""


class _Clock:
    """Stands for ``datetime`` while a template is rendered."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment
        self.was_read = False

    def now(self, tz: object = None) -> datetime:
        self.was_read = True
        return self._moment

    @contextmanager
    def set(self) -> Iterator[None]:
        before = chat_template_utils.datetime
        chat_template_utils.datetime = self
        try:
            yield
        finally:
            chat_template_utils.datetime = before


class ChatTemplate:
    """A tokenizer's chat template, or the spec's own in its place; rendered by transformers' sandbox.

    Before the first prompt of a shape (the roles of its turns, its tools) the same turns with marker texts
    are rendered: every marker must come back, in order, with contents given as strings or else as lists of
    parts. Then every prompt's own texts must come back; white space at their ends may be trimmed.
    """

    def __init__(self, tokenizer: Any, rules: ChatRules) -> None:
        self._tokenizer = tokenizer
        self.rules = rules
        self.arguments: dict[str, Any] = json.loads(rules.arguments)
        self._clock = _Clock(rules.moment)
        self.has_date = False
        """Whether a prompt that was rendered says something else at another time."""
        self._forms: dict[tuple[tuple[str, ...], tuple[str, ...]], Form] = {}

    @property
    def source(self) -> Any:
        """The template's text, or its texts by name; None or empty where there is none."""
        own = self.rules.template
        return getattr(self._tokenizer, "chat_template", None) if own is None else own

    def render(self, prompt: Prompt) -> str:
        """The text of a prompt's turns.

        Raises:
            RequestError: there is no template, it refuses the turns, or it does not render their texts.
        """
        turns, tools = template_form(prompt)
        if not self.source:
            raise RequestError("the tokenizer has no chat template, so dialogues cannot be rendered")
        form = self._form(turns, tools)
        self._clock.was_read = False
        text = self.rendered(turns, tools, form)
        if self._clock.was_read and not self.has_date:
            other = ChatTemplate(self._tokenizer, replace(self.rules, moment=self.rules.moment - _LONG_AGO))
            self.has_date = other.rendered(turns, tools, form) != text
        if unlike_again := unlike(text, self.rendered(turns, tools, form)):
            raise RequestError(unlike_again)
        if changed := why_changed(turns, tools, text):
            raise RequestError(changed)
        return text

    def rendered(self, turns: Sequence[Turn], tools: Sequence[str] = (), form: Form = "text") -> str:
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
        try:
            with self._clock.set():
                text: str = self._tokenizer.apply_chat_template(
                    messages,
                    tools=[json.loads(tool) for tool in tools] or None,
                    chat_template=self.rules.template,
                    tokenize=False,
                    add_generation_prompt=True,
                    **self.arguments,
                )
        except Exception as error:
            raise RequestError(f"the chat template refused the dialogue: {error}") from error
        return text

    @cached_property
    def frame(self) -> Frame | None:
        """What is written around a single user's turn; None where the template does not take one."""
        turn = (Turn("user", marker(0)),)
        try:
            before, _, after = self.rendered(turn, (), self._form(turn, ())).partition(marker(0))
        except RequestError:
            return None
        added = getattr(self._tokenizer, "added_tokens_decoder", {}).values()
        bos = getattr(self._tokenizer, "bos_token", None) or ""
        return frame_of(before, after, bos, [str(token).strip() for token in added])

    @property
    def opens_thinking(self) -> bool:
        """Whether the prompt for an answer ends inside a block of thoughts."""
        after = self.frame.after if self.frame is not None else ""
        return after.rfind("<think>") > after.rfind("</think>")

    @property
    def leaves_thinking_open(self) -> bool:
        """Whether the spec leaves ``enable_thinking`` to the template, and false would change the prompt."""
        if "enable_thinking" in self.arguments or "enable_thinking" not in str(self.source):
            return False
        arguments = json.dumps({**self.arguments, "enable_thinking": False})
        return ChatTemplate(self._tokenizer, replace(self.rules, arguments=arguments)).frame != self.frame

    def shows_tools(self, tool: str) -> bool:
        """Whether the template says anything of a tool that it is given."""
        asked = (Turn("user", marker(0)),)
        try:
            return self.rendered(asked) != self.rendered(asked, (tool,))
        except RequestError:
            return False

    def _form(self, turns: Sequence[Turn], tools: tuple[str, ...]) -> Form:
        """How contents of turns of these roles are given: as strings where that is rendered.

        Raises:
            RequestError: neither is.
        """
        shape = tuple(turn.role for turn in turns), tools
        if shape not in self._forms:
            marked = [Turn(turn.role, marker(index)) for index, turn in enumerate(turns)]
            self._forms[shape] = self._form_of(marked, tools)
        return self._forms[shape]

    def _form_of(self, marked: Sequence[Turn], tools: tuple[str, ...]) -> Form:
        reasons: list[str] = []
        forms: tuple[Form, ...] = ("text", "parts")
        for form in forms:
            try:
                texts = [self.rendered(marked, tools, form) for _ in range(_REPEATS)]
            except RequestError as error:
                reasons.append(str(error))
                continue
            wrong = why_unmarked(marked, texts[0])
            if not wrong and form == "parts" and prints_lists(texts[0]):
                wrong = "the chat template prints a list of parts as it is"
            if not wrong:
                if again := next((found for text in texts if (found := unlike(texts[0], text))), ""):
                    raise RequestError(again)
                return form
            reasons.append(wrong)
        raise RequestError(reasons[0])


def template_form(prompt: Prompt) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns and tools of a prompt that is no text."""
    if isinstance(prompt, ToolPrompt):
        return prompt.turns, prompt.tools
    assert not isinstance(prompt, str)
    return prompt, ()
