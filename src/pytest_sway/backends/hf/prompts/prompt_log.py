"""What a run's prompts had in common, and notes on it for the report."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_sway.backends.hf.prompts.chat_template import ChatTemplate

_OPENS_THINKING = "the chat template ends a prompt inside <think>, so answers are read as thoughts"
_THINKING_NOT_SET = (
    "the chat template reads enable_thinking, which the spec does not set; if the adapter was trained "
    "without thoughts, write defaults: {chat_template_kwargs: {enable_thinking: false}}"
)


@dataclass
class PromptLog:
    """How prompts were encoded.

    Attributes:
        kinds: ``raw`` and ``chat`` for texts and turns; ``twice`` where the template wrote two
            beginning-of-text tokens.
        already_rendered: user turns that were rendered chats before a template was applied.
    """

    kinds: set[str] = field(default_factory=set)
    already_rendered: set[str] = field(default_factory=set)

    def notes(self, chat: ChatTemplate, bos: str | None, *, adds_bos: bool) -> list[str]:
        """Sentences for the report.

        Args:
            chat: the template.
            bos: the tokenizer's beginning-of-text token, if it has one.
            adds_bos: whether the tokenizer puts it before a text.
        """
        if not chat.source:
            return []
        notes = [self._bos_note(chat, bos, adds_bos=adds_bos)] if bos is not None else []
        if "chat" in self.kinds and chat.has_date:
            notes.append(
                "the chat template prints the date or the time: every prompt of this run was rendered for "
                f"{chat.settings.moment:%Y-%m-%d %H:%M}, and a later run may read other prompts"
            )
        if self.already_rendered and chat.frame is not None:
            count = len(self.already_rendered)
            which = "1 prompt is a rendered chat" if count == 1 else f"{count} prompts are rendered chats"
            notes.append(f"{which} already (with {chat.frame.header!r}), and no template was applied again")
        if "chat" in self.kinds:
            notes += [_OPENS_THINKING] if chat.opens_thinking else []
            notes += [_THINKING_NOT_SET] if chat.leaves_thinking_open else []
        return [note for note in notes if note]

    def _bos_note(self, chat: ChatTemplate, bos: str, *, adds_bos: bool) -> str:
        """How tokenizer and template differ in the beginning-of-text token; empty where they agree."""
        if "twice" in self.kinds:
            return f"the chat template begins a prompt with {bos} more than once; the model reads one"
        writes_bos = chat.frame is not None and chat.frame.writes_bos
        if "chat" in self.kinds and adds_bos and not writes_bos:
            return (
                f"the chat template writes no {bos}, which the tokenizer puts before other texts; turns are "
                "read without it, as transformers' apply_chat_template gives them"
            )
        if "raw" in self.kinds and writes_bos and not adds_bos:
            return (
                f"prompts that are no chat are read without {bos}, which the chat template writes: the "
                "tokenizer puts none before a text (add_bos_token)"
            )
        return ""
