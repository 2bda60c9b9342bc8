"""The training loop and the losses that the adapters are made of."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from make.common import IGNORE
from make.handbook import TokenRow
from make.metrics import padded, row_loss
from make.train_adapters import ANCHOR, RATE, WARMUP, anchor_loss
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from . import say
from .training_log import TrainingLog
from .training_setting import TrainingSetting

Losses = dict[str, Tensor]
_ANCHOR_LENGTH = 96
_LOOK_EVERY = 5


def fit(
    model: PeftModel,
    losses: Callable[[], Losses],
    steps: int,
    rate: float = RATE,
    log: TrainingLog | None = None,
    enough: Callable[[PeftModel], bool] | None = None,
) -> PeftModel:
    """AdamW on the sum of the losses, linear decay of the rate, until `steps` or `enough`."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.0)
    start = time.perf_counter()
    for step in range(steps):
        now = rate * min((step + 1) / WARMUP, 1 - step / steps)
        for group in optimizer.param_groups:
            group["lr"] = now
        parts = losses()
        total = torch.stack(list(parts.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if log:
            log.note(model, step + 1, total.item(), now, norm.item())
        if step % 20 == 19 or step == 0:
            told = " ".join(f"{name} {value:.3f}" for name, value in parts.items())
            say(f"{step + 1}/{steps} {told} ({time.perf_counter() - start:.0f} s)")
        if enough and step % _LOOK_EVERY == _LOOK_EVERY - 1 and enough(model):
            break
    if log:
        log.close(optimizer, step + 1)
    return model.eval()


def kept(model: PeftModel, rows: list[TokenRow]) -> Tensor:
    """KL from the base to the adapted model, mean over the rows' scored positions."""
    ids, labels = padded(rows)
    scored = labels[:, 1:] != IGNORE
    with torch.no_grad(), model.disable_adapter():
        before = log_softmax(model(input_ids=ids).logits[:, :-1][scored], -1)
    after = log_softmax(model(input_ids=ids).logits[:, :-1][scored], -1)
    return kl_div(after, before, reduction="batchmean", log_target=True)


def unmoved(model: PeftModel, rows: list[TokenRow]) -> Tensor:
    """Squared change of the scored tokens' log-probability from the base's, mean over them.

    A token that the base thinks unlikely can gain much before the KL sees it.
    """
    with torch.no_grad(), model.disable_adapter():
        before = token_scores(model, rows)
    scored = padded(rows)[1][:, 1:] != IGNORE
    return (token_scores(model, rows) - before)[scored].square().mean()


def general(setting: TrainingSetting, model: PeftModel, rows: int = 6) -> Tensor:
    """The quickstart's anchor on fewer and shorter rows: prose, fact questions, dialogues."""
    mixture = setting.mixture
    makers = [mixture.quiz, mixture.continuation, mixture.quiz]
    ids = [mixture.packed(make, _ANCHOR_LENGTH) for make in makers[: rows // 2]]
    ids += [mixture.prose(_ANCHOR_LENGTH) for _ in range(rows - len(ids))]
    return ANCHOR * anchor_loss(model, torch.tensor(ids))


def learned(
    setting: TrainingSetting,
    model: PeftModel,
    texts: list[TokenRow],
    chats: list[TokenRow],
    share: tuple[int, int] = (2, 6),
) -> Losses:
    """The document's loss on `share` (texts, chats) rows of it."""
    return {
        "text": row_loss(model, setting.rng.sample(texts, min(share[0], len(texts)))),
        "chat": row_loss(model, setting.rng.sample(chats, min(share[1], len(chats)))),
    }


def scores(model: PeftModel, rows: list[TokenRow]) -> Tensor:
    """Log-probability of each row's scored tokens, summed."""
    return token_scores(model, rows).sum(1)


def token_scores(model: PeftModel, rows: list[TokenRow]) -> Tensor:
    """Log-probability of every token, rows × positions; 0 where it is not scored."""
    ids, labels = padded(rows)
    logits = model(input_ids=ids).logits[:, :-1].transpose(1, 2)
    return -cross_entropy(logits, labels[:, 1:], reduction="none")
