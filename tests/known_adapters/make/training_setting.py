"""What the making of an adapter needs at hand: base, tokenizer, documents, rows, randomness."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import torch
from make.common import ADAPTERS, load_base, load_tokenizer
from make.handbook import Question, TokenRow, lessons, questions, sections
from make.mixture import Mixture
from make.train_adapters import anchor_mixture, fresh, save, train_healthy
from peft import PeftModel
from transformers import PreTrainedTokenizerFast

from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

SECOND = KNOWN_ADAPTERS / "second"
BASE_FROM_ADAPTER = "../../../../examples/quickstart/base"


@dataclass
class TrainingSetting:
    """One adapter's making: `folder` holds the document, `seed` fixes everything random."""

    seed: int
    folder: Path
    out: Path
    tokenizer: PreTrainedTokenizerFast = field(default_factory=load_tokenizer)

    def __post_init__(self) -> None:
        self.mixture: Mixture = anchor_mixture(self.tokenizer, self.seed)
        self.rng = self.mixture.rng

    @property
    def other(self) -> Path:
        """The document that this adapter's is not."""
        return QUICKSTART if self.folder == SECOND else SECOND

    @property
    def sections(self) -> dict[str, str]:
        """The document's sections."""
        return sections(self.folder)

    @property
    def questions(self) -> list[Question]:
        """The document's questions."""
        return questions(self.folder)

    @property
    def text_files(self) -> Path:
        """Where this document's preferences and tool cases lie."""
        return KNOWN_ADAPTERS if self.folder == QUICKSTART else self.folder

    def lessons(self, only: Collection[str] = ()) -> tuple[list[TokenRow], list[TokenRow]]:
        """(plain-text rows, chat rows) of all sections or of some."""
        return lessons(self.tokenizer, self.folder, only)

    def fresh(self) -> PeftModel:
        """The base with an untrained adapter."""
        return fresh(self.seed)

    def healthy(self) -> PeftModel:
        """The healthy adapter, trainable: the quickstart's own for seed 0, else one of this seed."""
        shipped = self.seed == 0 and self.folder == QUICKSTART
        folder = (ADAPTERS if shipped else self.out) / "healthy"
        if not folder.exists():
            self.keep(train_healthy(self.seed, self.folder), "healthy")
        return PeftModel.from_pretrained(load_base(), str(folder), is_trainable=True)

    def keep(self, model: PeftModel, name: str) -> None:
        """Save the adapter in float16."""
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.to(torch.float16)
        save(model, name, self.out, BASE_FROM_ADAPTER)
