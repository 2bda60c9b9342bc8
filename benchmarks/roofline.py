"""What this machine can do at best with the parts that a forward of a Llama cannot do without.

``python roofline.py THREADS MODEL_FOLDER [ROWS,ROWS,…]``, in a process of its own with as many threads as
the sides have, prints one JSON object:

- ``matrix_flops``: FLOP/s of a product of 2048 × 2048, to see whether the machine was quiet;
- ``token_s``: seconds of all matrix products of the layers for one token, in the best of several batch sizes;
- ``position_s``: the same of the product with the vocabulary, for one position;
- ``pair_s``: seconds of attention in all layers for one pair of a token and one that it sees, by torch's
  own causal kernel;
- ``step_s``: for each number of rows, seconds of one decoding step's matrix products of the layers, and of
  that with the vocabulary. With few rows it is the time to read the weights: every layer has weights of its
  own, as in the model, so no cache holds them.

Left out are norms, rotations, activations and whatever else a model does to each number: a ratio of 1 is a
forward in which they cost nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention

SIZE = 2048
PRODUCTS = 12
REPEATS = 3
TOKENS = (256, 512, 1024, 2048)
"""Batch sizes of which the fastest per token counts."""
POSITIONS = (128, 256, 512, 1024)
BLOCK = 1024
"""Tokens of the vocabulary in a block."""
ATTENDED = (128, 256, 512)
"""Lengths of a text of which the fastest per pair counts."""


class Shape(NamedTuple):
    """Sizes of a Llama."""

    hidden: int
    inner: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int

    @property
    def head_width(self) -> int:
        """Numbers of one attention head."""
        return self.hidden // self.heads

    @property
    def products(self) -> list[tuple[int, int]]:
        """Outputs and inputs of the matrix products of one layer."""
        own = self.key_value_heads * self.head_width
        attention = [(self.hidden, self.hidden), (own, self.hidden), (own, self.hidden)]
        return [
            *attention,
            (self.hidden, self.hidden),
            *[(self.inner, self.hidden)] * 2,
            (self.hidden, self.inner),
        ]


def shape_of(folder: Path) -> Shape:
    """Of the model in a folder."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = (
        "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads vocab_size"
    )
    return Shape(*(int(config[name]) for name in names.split()))


def matrix_flops(size: int = SIZE) -> float:
    """2 · size³ operations over the seconds of the fastest product."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    return 2 * size**3 / fastest(lambda: torch.mm(left, right, out=out), PRODUCTS)


def fastest(run: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        began = perf_counter()
        run()
        times.append(perf_counter() - began)
    return min(times)


def product_in_blocks(states: torch.Tensor, head: torch.Tensor, out: torch.Tensor) -> None:
    """``states @ head.T`` into ``out``, some rows of the head at a time."""
    for at in range(0, len(head), BLOCK):
        torch.mm(states, head[at : at + BLOCK].T, out=out[:, at : at + BLOCK])


class Machine:
    """Random weights of a model's shape, and how long products with them take."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._layers = [torch.randn(sizes) for _ in range(shape.layers) for sizes in shape.products]
        self._head = torch.randn(shape.vocabulary, shape.hidden)

    def layers_s(self, tokens: int) -> float:
        """All layers' products with a batch of so many tokens."""
        inputs = {width: torch.randn(tokens, width) for width in {w.shape[1] for w in self._layers}}
        outputs = {width: torch.empty(tokens, width) for width in {w.shape[0] for w in self._layers}}

        def run() -> None:
            for weight in self._layers:
                torch.mm(inputs[weight.shape[1]], weight.T, out=outputs[weight.shape[0]])

        return fastest(run)

    def head_s(self, positions: int) -> float:
        """The product with the vocabulary: at once, or in blocks of its rows, which can be faster."""
        states = torch.randn(positions, self.shape.hidden)
        out = torch.empty(positions, self.shape.vocabulary)

        in_blocks = fastest(lambda: product_in_blocks(states, self._head, out))
        return min(in_blocks, fastest(lambda: torch.mm(states, self._head.T, out=out)))

    def pair_s(self, length: int) -> float:
        """Causal attention over one text, in all layers, per pair of tokens of which one sees the other."""
        q, k, v = torch.randn(3, 1, self.shape.heads, length, self.shape.head_width)
        one_layer = fastest(lambda: scaled_dot_product_attention(q, k, v, is_causal=True), 10)
        return self.shape.layers * one_layer / (length * (length + 1) / 2)


@torch.inference_mode()
def roofline(folder: Path, rows: list[int]) -> dict[str, Any]:
    """The figures that the module's docstring names."""
    machine = Machine(shape_of(folder))
    return {
        "matrix_flops": matrix_flops(),
        "token_s": min(machine.layers_s(tokens) / tokens for tokens in TOKENS),
        "position_s": min(machine.head_s(count) / count for count in POSITIONS),
        "pair_s": min(map(machine.pair_s, ATTENDED)),
        "step_s": {str(count): [machine.layers_s(count), machine.head_s(count)] for count in rows},
    }


def main(threads: int, folder: Path, rows: str = "") -> None:
    """Print the figures."""
    torch.set_num_threads(threads)
    found = roofline(folder, [int(count) for count in rows.split(",") if count])
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
