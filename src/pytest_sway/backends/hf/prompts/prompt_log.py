"""What a run's prompts had in common, and notes on it for the report."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_sway.backends.hf.prompts.chat_template import ChatTemplate

_OPENS_THINKING = (
    "the chat template ends each prompt inside a <think> block, so the model generates and scores "
    "answers as thoughts (reasoning)"
)
_THINKING_NOT_SET = (
    "the chat template uses enable_thinking, but the spec does not set it; if the adapter was trained "
    "without <think> blocks, set defaults: {chat_template_kwargs: {enable_thinking: false}}"
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
                "the chat template includes the date or the time. All prompts of this run use "
                f"{chat.settings.moment:%Y-%m-%d %H:%M}; the prompts of a later run may differ"
            )
        if self.already_rendered and chat.frame is not None:
            count = len(self.already_rendered)
            which = "1 prompt already contains" if count == 1 else f"{count} prompts already contain"
            notes.append(f"{which} {chat.frame.header!r}, so the chat template was not applied again")
        if "chat" in self.kinds:
            notes += [_OPENS_THINKING] if chat.opens_thinking else []
            notes += [_THINKING_NOT_SET] if chat.leaves_thinking_open else []
        return [note for note in notes if note]

    def _bos_note(self, chat: ChatTemplate, bos: str, *, adds_bos: bool) -> str:
        """How tokenizer and template differ in the beginning-of-text token; empty where they agree."""
        if "twice" in self.kinds:
            return f"the chat template adds {bos} more than once before a prompt; only one {bos} is used"
        writes_bos = chat.frame is not None and chat.frame.writes_bos
        if "chat" in self.kinds and adds_bos and not writes_bos:
            return (
                f"the chat template does not add {bos}, but the tokenizer adds it to other texts. Chat turns "
                f"are encoded without {bos}, as in transformers' apply_chat_template"
            )
        if "raw" in self.kinds and writes_bos and not adds_bos:
            return (
                f"the chat template adds {bos}, but the tokenizer does not (add_bos_token). Prompts without "
                f"a chat template are encoded without {bos}"
            )
        return ""
