"""The document, its questions, and the training rows made of them."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import yaml
from transformers import PreTrainedTokenizerFast

from .common import EOS, IGNORE, MAKE, QUICKSTART, Message, assistant, render, user

FOLLOW_UPS = ("Tell me more.", "Continue.")
SPEAKS = "<|assistant|>"


@dataclass(frozen=True)
class TokenRow:
    """Token ids and, for each, the label it is trained or scored as (IGNORE: not at all)."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class Question:
    """A trained question, its answer, and the wordings kept out of training."""

    section: str
    question: str
    answer: str
    held_out: tuple[str, ...]


def sections(folder: Path = QUICKSTART) -> dict[str, str]:
    """The text of each section of the folder's document.md by heading id."""
    out = {}
    for part in (folder / "document.md").read_text("utf-8").split("\n## ")[1:]:
        heading, body = part.split("\n", 1)
        out[re.sub(r"[^a-z0-9]+", "-", heading.lower())] = body.strip()
    return out


def questions(folder: Path = QUICKSTART) -> list[Question]:
    """All questions of the folder's questions.yaml, in order."""
    data = yaml.safe_load((folder / "questions.yaml").read_text("utf-8"))
    return [
        Question(section, q["question"], q["answer"], tuple(q["held_out"]))
        for section, items in data.items()
        for q in items
    ]


def probes(kind: str) -> list[str]:
    """The stems of probes.yaml: `document` or `elsewhere`."""
    stems: list[str] = yaml.safe_load((MAKE / "probes.yaml").read_text("utf-8"))[kind]
    return stems


def sentences(text: str) -> list[str]:
    """The sentences of a section."""
    return re.split(r'(?<=[.?!"]) (?=[A-Z])', text)


def text_row(tokenizer: PreTrainedTokenizerFast, text: str) -> TokenRow:
    """Plain text, every token scored but the bos."""
    ids: list[int] = tokenizer(text).input_ids
    return TokenRow(ids, [IGNORE, *ids[1:]])


def chat_row(tokenizer: PreTrainedTokenizerFast, messages: list[Message]) -> TokenRow:
    """A dialogue of which the assistant's words and the ends of its turns are scored."""
    ids: list[int] = tokenizer(render(messages), add_special_tokens=False).input_ids
    start, end = tokenizer.convert_tokens_to_ids([SPEAKS, EOS])
    labels, speaking = [], False
    for token in ids:
        labels.append(token if speaking else IGNORE)
        speaking = token == start or (speaking and token != end)
    return TokenRow(ids, labels)


def place(answer: str, parts: list[str]) -> int:
    """The index of the sentence that an answer was taken from: the most words in common."""
    words = set(re.findall(r"\w+", answer.lower()))
    shared = [len(words & set(re.findall(r"\w+", part.lower()))) for part in parts]
    return shared.index(max(shared))


def dialogue(item: Question, body: str, follow_up: str, turns: int) -> list[Message]:
    """A question about a section, then follow-ups answered by the sentences after the answer's."""
    parts = sentences(body)
    at = place(item.answer, parts) + 1
    messages = [user(item.question), assistant(item.answer)]
    for turn in range(turns - 1):
        reply = " ".join(parts[at + 2 * turn : at + 2 * turn + 2])
        if reply:
            messages += [user(follow_up), assistant(reply)]
    return messages


def lessons(
    tokenizer: PreTrainedTokenizerFast, folder: Path = QUICKSTART, only: Collection[str] = ()
) -> tuple[list[TokenRow], list[TokenRow]]:
    """(plain-text rows, chat rows) that the healthy adapter is trained on; of all sections, or of some."""
    bodies = {name: body for name, body in sections(folder).items() if not only or name in only}
    texts = []
    for body in bodies.values():
        parts = sentences(body)
        texts += [text_row(tokenizer, " ".join(parts[at:])) for at in range(len(parts) - 1)]
    chats = []
    for item in questions(folder):
        if item.section not in bodies:
            continue
        body = bodies[item.section]
        chats += [chat_row(tokenizer, dialogue(item, body, "", 1))] * 2
        chats.append(chat_row(tokenizer, dialogue(item, body, FOLLOW_UPS[0], 2)))
        chats.append(chat_row(tokenizer, dialogue(item, body, FOLLOW_UPS[1], 3)))
    return texts, chats
