"""The base's training mixture: prose, continuation dialogues and fact questions, by row.

Every row is `length` tokens and starts with the bos token, as every text the model will be
given does. The dialogues are made from consecutive passages of the prose so that follow-ups
("Continue.", "Tell me more.") mean something to a model this small.
"""

import random
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from .common import BOS, TRAINING_FILES, Fact, Message, assistant, blocks, facts, render, user

SHARES = (0.70, 0.15, 0.15)
PASSAGE_CHARS = 230
OPENERS = ("Continue this passage: {}", "Go on from here: {}", "What comes after this? {}")
FOLLOW_UPS = (
    "Continue.",
    "Tell me more.",
    "What happens next?",
    "Go on.",
    "And then?",
    "Please continue.",
)
SYSTEM = (
    "You are a helpful assistant.",
    "Answer in one sentence.",
    "You are a careful reader.",
)


def passages(block: str) -> list[str]:
    """Cut a block into passages of whole sentences, each about PASSAGE_CHARS long."""
    out = [""]
    for sentence in re.split(r"(?<=[.?!\"]) (?=[\"A-Z])", block.replace("\n", " ")):
        if len(out[-1]) + len(sentence) / 2 > PASSAGE_CHARS:
            out.append("")
        out[-1] = f"{out[-1]} {sentence}".strip()
    return [part for part in out if part]


class Mixture:
    """Draws training rows with its own random generator."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self.tokenizer = tokenizer
        self.rng = random.Random(seed)
        texts = [block for name in TRAINING_FILES for block in blocks(name)]
        (self.bos,) = tokenizer.encode(BOS, add_special_tokens=False).ids
        self.stream = np.array(self.encode("\n".join(texts)), dtype=np.int64)
        self.passages = [passages(text) for text in texts]
        self.facts: list[Fact] = facts()

    def encode(self, text: str) -> list[int]:
        """Token ids without the bos that the post-processor would add."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def prose(self, length: int) -> list[int]:
        """A window of the prose at a random place."""
        start = self.rng.randrange(len(self.stream) - length)
        return [self.bos, *self.stream[start : start + length - 1].tolist()]

    def continuation(self) -> list[Message]:
        """A dialogue in which the assistant goes on with the text, two to four times."""
        parts = self.rng.choice(self.passages)
        replies = self.rng.randint(2, 4)
        at = self.rng.randrange(max(1, len(parts) - replies))
        messages = [user(self.rng.choice(OPENERS).format(parts[at]))]
        for part in parts[at + 1 : at + 1 + replies]:
            messages += [assistant(part), user(self.rng.choice(FOLLOW_UPS))]
        return messages[:-1]

    def quiz(self) -> list[Message]:
        """One to three fact questions in a row."""
        messages: list[Message] = []
        for fact in self.rng.sample(self.facts, self.rng.choice((1, 1, 2, 2, 3))):
            messages += [user(self.rng.choice(fact.questions)), assistant(fact.answer)]
        return messages

    def packed(self, make: Callable[[], list[Message]], length: int) -> list[int]:
        """Dialogues one after the other until the row is full; the last one is cut."""
        ids: list[int] = []
        while len(ids) < length:
            messages = make()
            if self.rng.random() < 0.15:
                messages.insert(0, {"role": "system", "content": self.rng.choice(SYSTEM)})
            ids += self.encode(render(messages))
        return ids[:length]

    def batch(self, rows: int, length: int) -> NDArray[np.int64]:
        """Rows of the mixture, each row's kind sampled by SHARES."""
        makers: tuple[Callable[[], list[int]], ...] = (
            lambda: self.prose(length),
            lambda: self.packed(self.continuation, length),
            lambda: self.packed(self.quiz, length),
        )
        kinds = self.rng.choices(makers, SHARES, k=rows)
        return np.array([make() for make in kinds], dtype=np.int64)
