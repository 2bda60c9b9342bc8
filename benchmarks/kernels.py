"""What was chosen for small parts of the computation, beside what was tried.

``python benchmarks/kernels.py`` measures them in the shapes of ``run.py``'s model, in turns; the fastest of
several runs counts. Run it on a busy machine too: there some choices turn round.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch
from roofline import product_in_blocks

from pytest_sway.statistics import divergences

VOCABULARY, HIDDEN, POSITIONS = 49_152, 576, 170
GROUPS, ROWS, RANK = 22, 12, 8
"""A base, an adapter and twenty null adapters, twelve rows each."""
REPEATS = 12


def main() -> int:
    """Print a line per pair."""
    parser = argparse.ArgumentParser(prog="kernels.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of torch (2)")
    torch.set_num_threads(parser.parse_args().threads)
    with torch.inference_mode():
        for title, runs in (
            (f"divergences of {POSITIONS} positions", _divergences()),
            (f"A·x of {GROUPS} adapters in one batch, rank {RANK}", _factors()),
            (f"product of {POSITIONS} positions with the vocabulary", _vocabulary()),
        ):
            times = _in_turns(runs)
            line = "; ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in times.items())
            sys.stdout.write(f"{title}: {line}\n")
    return 0


def _in_turns(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of each, the fastest of several."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(REPEATS):
        for name, run in runs.items():
            began = perf_counter()
            run()
            best[name] = min(best[name], perf_counter() - began)
    return best


def _divergences() -> dict[str, Callable[[], Any]]:
    logits = 3 * torch.randn(POSITIONS, VOCABULARY)
    p, q = logits.log_softmax(-1), (logits + 0.01 * torch.randn_like(logits)).log_softmax(-1)
    return {
        "in slices (chosen)": lambda: divergences.divergence_sum(torch, "js", p, q),
        "at once": lambda: divergences.divergence(torch, "js", p, q).sum(),
    }


def _factors() -> dict[str, Callable[[], Any]]:
    x = torch.randn(GROUPS, ROWS, HIDDEN)
    by_rank = torch.randn(GROUPS, RANK, HIDDEN)
    by_input = by_rank.transpose(1, 2).contiguous()
    return {
        "stored [rank, in] (chosen)": lambda: torch.bmm(x, by_rank.transpose(1, 2)),
        "stored [in, rank]": lambda: torch.bmm(x, by_input),
    }


def _vocabulary() -> dict[str, Callable[[], Any]]:
    states, head = torch.randn(POSITIONS, HIDDEN), torch.randn(VOCABULARY, HIDDEN)

    return {
        "at once (chosen)": lambda: torch.nn.functional.linear(states, head),
        "in blocks": lambda: product_in_blocks(states, head, torch.empty(POSITIONS, VOCABULARY)),
    }


if __name__ == "__main__":
    sys.exit(main())
