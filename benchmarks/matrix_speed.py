"""Prints the machine's fp32 matrix speed in FLOP/s: the best of several products of 2048 × 2048.

Run in a process of its own, with as many threads as the sides have: ``python matrix_speed.py THREADS``.
"""

from __future__ import annotations

import sys
from time import perf_counter

import torch

SIZE = 2048
PRODUCTS = 12


def speed(threads: int, size: int = SIZE) -> float:
    """2 · size³ operations over the seconds of the fastest product."""
    torch.set_num_threads(threads)
    left, right = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    fastest = float("inf")
    for _ in range(PRODUCTS):
        began = perf_counter()
        torch.mm(left, right, out=out)
        fastest = min(fastest, perf_counter() - began)
    return 2 * size**3 / fastest


if __name__ == "__main__":
    sys.stdout.write(f"{speed(int(sys.argv[1]))}\n")
