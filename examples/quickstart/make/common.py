"""Paths, text loading and chat rendering shared by the scripts of this folder."""

import gzip
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

MAKE = Path(__file__).resolve().parent
QUICKSTART = MAKE.parent
BASE = QUICKSTART / "base"
ADAPTERS = QUICKSTART / "adapters"
CORPUS = MAKE / "corpus"
TRAINING_FILES = ("emma", "pride_and_prejudice", "moby_dick", "state_of_the_union")
BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
ROLES = ("system", "user", "assistant")
IGNORE = -100

Message = dict[str, str]


@dataclass(frozen=True)
class Fact:
    """One general fact: three wordings of the question and the sentence that answers it."""

    topic: str
    questions: tuple[str, ...]
    answer: str


def set_up(seed: int) -> None:
    """Make a run repeatable on two cores."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)


def blocks(name: str) -> list[str]:
    """The passages of one corpus file."""
    text = gzip.decompress((CORPUS / f"{name}.txt.gz").read_bytes()).decode("utf-8")
    return text.strip().split("\n\n")


def facts() -> list[Fact]:
    """The general facts that the base is taught in chat form."""
    rows = [json.loads(line) for line in (MAKE / "facts.jsonl").read_text("utf-8").splitlines()]
    return [Fact(row["topic"], tuple(row["questions"]), row["answer"]) for row in rows]


def user(content: str) -> Message:
    """A user turn."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """An assistant turn."""
    return {"role": "assistant", "content": content}


def render(messages: list[Message]) -> str:
    """What the chat template renders, without going through jinja (train_base checks it)."""
    return BOS + "".join(f"<|{m['role']}|>{m['content']}{EOS}" for m in messages)


def load_base() -> LlamaForCausalLM:
    """The rounded base in float32, as everything downstream loads it."""
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32, use_safetensors=True)
    if not isinstance(model, LlamaForCausalLM):
        raise TypeError(type(model).__name__)
    return model.eval()


def load_tokenizer() -> PreTrainedTokenizerFast:
    """The base's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise TypeError(type(tokenizer).__name__)
    return tokenizer
