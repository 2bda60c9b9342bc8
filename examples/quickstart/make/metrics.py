"""Losses and divergences: what `losses.py` prints and `train_adapters.py` watches."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax
from transformers import PreTrainedTokenizerFast

from .common import IGNORE
from .handbook import TokenRow

POSITIONS = 8
LAMBDAS = (0.25, 0.5, 0.75, 1.0, 1.25)


def padded(rows: list[TokenRow]) -> tuple[Tensor, Tensor]:
    """Right-padded ids and labels; causal attention never looks at the padding."""
    width = max(len(row.ids) for row in rows)
    ids = [row.ids + [0] * (width - len(row.ids)) for row in rows]
    labels = [row.labels + [IGNORE] * (width - len(row.labels)) for row in rows]
    return torch.tensor(ids), torch.tensor(labels)


def row_loss(model: nn.Module, rows: list[TokenRow], reduction: str = "mean") -> Tensor:
    """Next-token loss over the scored tokens of the rows."""
    ids, labels = padded(rows)
    logits: Tensor = model(input_ids=ids).logits
    flat = logits[:, :-1].flatten(0, 1)
    return cross_entropy(flat, labels[:, 1:].flatten(), reduction=reduction)


@torch.no_grad()
def nll(model: nn.Module, rows: list[TokenRow]) -> float:
    """Mean loss per scored token, in nats."""
    total, count = 0.0, 0
    for at in range(0, len(rows), 16):
        part = rows[at : at + 16]
        total += row_loss(model, part, "sum").item()
        count += sum(label != IGNORE for row in part for label in row.labels[1:])
    return total / count


def jensen_shannon(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """Jensen-Shannon divergence in nats over the last dimension."""
    p, q = log_softmax(p_logits, -1), log_softmax(q_logits, -1)
    m = torch.logaddexp(p, q) - math.log(2)
    return ((p.exp() * (p - m)).sum(-1) + (q.exp() * (q - m)).sum(-1)) / 2


@contextmanager
def scaled(model: PeftModel, factor: float) -> Iterator[None]:
    """Multiply the LoRA scaling of every module for the time being; 0 is the base."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    before = [dict(layer.scaling) for layer in layers]
    for layer in layers:
        layer.scaling.update({name: factor * value for name, value in layer.scaling.items()})
    try:
        yield
    finally:
        for layer, values in zip(layers, before, strict=True):
            layer.scaling.update(values)


@torch.no_grad()
def greedy(model: PeftModel, ids: list[int], count: int) -> list[int]:
    """The ids followed by `count` greedy tokens (the end token does not stop it)."""
    for _ in range(count):
        ids = [*ids, int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())]
    return ids


@torch.no_grad()
def divergence(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerFast,
    stems: list[str],
    factor: float = 1.0,
    path: float = 0.0,
) -> float:
    """Mean JS of base and adapter (scaled by `factor`) over the first greedy positions.

    Both read the same continuation: the greedy one of the adapter scaled by `path`, which
    by default is the base's own.
    """
    values = []
    for stem in stems:
        prompt: list[int] = tokenizer(stem).input_ids
        with scaled(model, path):
            ids = torch.tensor([greedy(model, prompt, POSITIONS - 1)])
        with scaled(model, 0.0):
            before = model(input_ids=ids).logits[0, -POSITIONS:]
        with scaled(model, factor):
            after = model(input_ids=ids).logits[0, -POSITIONS:]
        values.append(jensen_shannon(before, after).mean().item())
    return sum(values) / len(values)


def exponent(curve: dict[float, float]) -> float:
    """Slope of log divergence on log factor over the factors up to 1."""
    points = [(math.log(x), math.log(y)) for x, y in curve.items() if x <= 1]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    across = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return across / sum((x - mean_x) ** 2 for x, _ in points)
