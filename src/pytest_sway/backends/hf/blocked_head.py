"""The product with the vocabulary in blocks of its rows: on a CPU a fifth faster, with the same numbers.

Some positions times fifty thousand rows at once run at two thirds to three quarters of the speed of the
layers' products, in blocks of 1,024 rows at nine tenths: 345 µs a position instead of 427 (170 positions,
576 × 49,152, fp32, two cores with AVX-512). In bf16 there is nothing to gain, nor where the result is so
large that it gets new pages of memory each time.
"""

from __future__ import annotations

from typing import Any

import torch

BLOCK = 1024
"""Rows of the vocabulary in a block."""
_LEAST_BLOCKS = 8
_MOST_BYTES = 32 << 20
"""Of the result: glibc's malloc asks the kernel for new pages from here on."""


class BlockedLinear(torch.nn.Linear):
    """A linear layer with many rows; where gradients are wanted it is a plain one."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        """``input @ weight.T + bias``, a block of the weight's rows at a time."""
        flat = input.reshape(-1, self.weight.shape[1])
        if torch.is_grad_enabled() or 4 * len(flat) * len(self.weight) > _MOST_BYTES:
            return super().forward(input)
        out = flat.new_empty(len(flat), len(self.weight))
        for at in range(0, len(self.weight), BLOCK):
            torch.mm(flat, self.weight[at : at + BLOCK].T, out=out[:, at : at + BLOCK])
        if self.bias is not None:
            out += self.bias
        return out.view(*input.shape[:-1], -1)


def use_blocked_head(model: Any) -> None:
    """Make a model's head compute in blocks where that is faster: a plain linear layer on a CPU, in fp32."""
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear or len(head.weight) < _LEAST_BLOCKS * BLOCK:
        return
    if head.weight.device.type == "cpu" and head.weight.dtype == torch.float32:
        head.__class__ = BlockedLinear
