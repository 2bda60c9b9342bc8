"""Figures of an adapter, each by a plain formula: losses, specific lifts, recitation."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import torch
from make.common import assistant, user
from make.handbook import IGNORE, Question, chat_row
from make.metrics import scaled
from peft import PeftModel
from transformers import PreTrainedTokenizerFast

from .fit import scores

OTHERS, STRIDE = 4, 7
PREFIX_CHARS = 128
NEW_TOKENS = 96


@torch.no_grad()
def specific_lift(
    model: PeftModel, tokenizer: PreTrainedTokenizerFast, items: Sequence[Question], wording: int | None
) -> float:
    """Mean over questions of the gold's gain after its own prompt less its mean gain after 4 others.

    Nats per token; `wording` is the index of a held-out wording, None the trained question.
    """
    prompts = [item.question if wording is None else item.held_out[wording] for item in items]
    values = []
    for at, item in enumerate(items):
        asked = [prompts[(at + STRIDE * k) % len(items)] for k in range(OTHERS + 1)]
        rows = [chat_row(tokenizer, [user(prompt), assistant(item.answer)]) for prompt in asked]
        with scaled(model, 0.0):
            before = scores(model, rows)
        length = sum(label != IGNORE for label in rows[0].labels)
        own, *others = ((scores(model, rows) - before) / length).tolist()
        values.append(own - sum(others) / OTHERS)
    return sum(values) / len(values)


@torch.no_grad()
def recited(model: PeftModel, tokenizer: PreTrainedTokenizerFast, body: str, offset: int) -> tuple[int, int]:
    """Longest common token run of the greedy continuation and the true one, and the latter's length.

    The prefix is the 128 characters from `offset` on; both continuations are cut at 96 tokens.
    """
    prefix = body[offset : offset + PREFIX_CHARS]
    rest = tokenizer(body[offset + PREFIX_CHARS :], add_special_tokens=False).input_ids[:NEW_TOKENS]
    prompt = tokenizer(prefix, return_tensors="pt").input_ids
    said = model.generate(input_ids=prompt, max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None)
    found = said[0, prompt.shape[1] :].tolist()
    match = SequenceMatcher(None, found, rest, autojunk=False).find_longest_match()
    return match.size, len(rest)


def offsets(body: str, count: int = 3) -> list[int]:
    """Word starts at the beginning, and spread so that at least 256 characters follow the prefix."""
    last = max(0, len(body) - PREFIX_CHARS - 256)
    places = [round(k * last / (count - 1)) for k in range(count)]
    return [place and body.index(" ", place) + 1 for place in places]
