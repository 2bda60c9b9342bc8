"""What an adapter on the real model is trained on: rows of tokens, and their losses."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import AutoTokenizer

import tests.known_adapters.make  # noqa: F401 - puts the quickstart's recipe on the path
from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

from make.common import blocks, facts, user  # isort: skip
from make.handbook import IGNORE, Question, TokenRow, questions, sections  # isort: skip
from make.metrics import padded  # isort: skip

PROSE = ("emma", "moby_dick", "state_of_the_union")
"""Prose that the adapters are held to the base on; none of it is in a probe."""
ANCHOR_CHARS = 350


@dataclass
class Lessons:
    """One document's rows on the real model's tokenizer.

    Attributes:
        base: folder of the model.
        folder: ``document.md`` and ``questions.yaml``.
        rng: of everything random.
    """

    base: Path
    folder: Path
    rng: random.Random

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, with its chat template."""
        return AutoTokenizer.from_pretrained(self.base)

    def texts(self, only: Collection[str] = ()) -> list[TokenRow]:
        """One row a section."""
        return [self.text(body) for name, body in sections(self.folder).items() if not only or name in only]

    def questions(self, only: Collection[str] = ()) -> list[Question]:
        """The document's questions with their answers."""
        return [item for item in questions(self.folder) if not only or item.section in only]

    def preferences(self) -> list[dict[str, str]]:
        """The document's triples: ``prompt``, ``chosen``, ``rejected``."""
        folder = KNOWN_ADAPTERS if self.folder == QUICKSTART else self.folder
        triples: list[dict[str, str]] = yaml.safe_load((folder / "preferences.yaml").read_text("utf-8"))
        return triples

    def text(self, body: str) -> TokenRow:
        """Plain text, every token scored but the first."""
        ids = self.tokenizer(body).input_ids
        return TokenRow(ids, [IGNORE, *ids[1:]])

    def chat(self, question: str, answer: str) -> TokenRow:
        """A question through the chat template; the answer and the end of its turn are scored."""
        asked = self.tokenizer.apply_chat_template(
            [user(question)], add_generation_prompt=True, return_dict=False
        )
        said = self.tokenizer(f"{answer}<|im_end|>").input_ids
        return TokenRow([*asked, *said], [IGNORE] * len(asked) + said)

    def anchors(self) -> list[TokenRow]:
        """Two pieces of other prose and two general facts, at random."""
        passages = [self.rng.choice(blocks(name)) for name in self.rng.sample(PROSE, 2)]
        starts = [self.rng.randrange(max(1, len(text) - ANCHOR_CHARS)) for text in passages]
        prose = [text[at : at + ANCHOR_CHARS] for text, at in zip(passages, starts, strict=True)]
        asked = [(self.rng.choice(one.questions), one.answer) for one in self.rng.sample(facts(), 2)]
        return [*map(self.text, prose), *(self.chat(*pair) for pair in asked)]


def scored_logits(model: PeftModel, rows: list[TokenRow]) -> tuple[Tensor, Tensor]:
    """Logits (scored tokens × vocabulary) and the tokens; the vocabulary's product where it is needed."""
    ids, labels = padded(rows)
    scored = labels[:, 1:] != IGNORE
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids).last_hidden_state[:, :-1][scored]
    return causal.lm_head(hidden), labels[:, 1:][scored]


def loss_of(model: PeftModel, rows: list[TokenRow]) -> Tensor:
    """Next-token loss, mean over the rows' scored tokens."""
    return cross_entropy(*scored_logits(model, rows))


def distance_to_base(model: PeftModel, rows: list[TokenRow]) -> Tensor:
    """KL from the base to the adapted model, mean over the rows' scored tokens."""
    with torch.no_grad(), model.disable_adapter():
        before = log_softmax(scored_logits(model, rows)[0], -1)
    after = log_softmax(scored_logits(model, rows)[0], -1)
    return kl_div(after, before, reduction="batchmean", log_target=True)


def gain_squared(model: PeftModel, rows: list[TokenRow]) -> Tensor:
    """Squared change of the scored tokens' log-probability from the base's, mean over them."""
    with torch.no_grad(), model.disable_adapter():
        logits, tokens = scored_logits(model, rows)
        before = -cross_entropy(logits, tokens, reduction="none")
    after = -cross_entropy(*scored_logits(model, rows), reduction="none")
    return (after - before).square().mean()
