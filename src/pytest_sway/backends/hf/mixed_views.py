"""Whether the rows of one batch can belong to several views; tried out when an adapter is attached."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pytest_sway.backends.hf.adapter_forms.mixed_batch import MixedBatchError
from pytest_sway.backends.hf.adapter_forms.served_adapter import ServedAdapter
from pytest_sway.requests import View


def views_per_batch(
    adapter: ServedAdapter,
    tuned: View,
    row_logits: Callable[[], torch.Tensor],
    known: tuple[torch.Tensor, torch.Tensor],
) -> int:
    """How many views the rows of one batch may belong to: 1 where two rows do not keep apart.

    A model may put its rows together inside, as one that sends each token to an expert of its own.

    Args:
        adapter: what is attached.
        tuned: its view.
        row_logits: logits of two equal rows, ``[2, positions, vocabulary]``, by the weights in force.
        known: what a row's logits are under the adapter, and under the base.
    """
    most = adapter.views_per_batch
    if most == 1:
        return 1
    adapter.enter_rows([tuned, tuned.scaled(0.0)])
    try:
        found = row_logits()
    except MixedBatchError:
        return 1
    allowed = min(1000 * torch.finfo(found.dtype).eps, 0.1)
    is_right = all(
        torch.allclose(x, y, rtol=allowed, atol=allowed) for x, y in zip(found, known, strict=True)
    )
    return most if is_right else 1
