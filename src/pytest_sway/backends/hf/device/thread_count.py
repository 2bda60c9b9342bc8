"""How many threads torch uses on a CPU: by the size of the work, and the same in every run.

Sums may differ in their last bits with the number of threads, so the number follows from the model, the
batch and the machine alone, never from how busy the machine is at the moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pytest_sway.thread_limits import core_share, count_is_set, usable_cores

_MIN_PARALLEL_WORK = 8_000_000
"""Multiplications in one matrix product from which on several threads are faster.

About 0.2 ms on one core; to wake a second thread that sleeps takes 0.05 to 0.1 ms."""


class ThreadCount:
    """The threads of one model's work.

    Args:
        model: whose work it is.
    """

    def __init__(self, model: Any) -> None:
        self._on_cpu = model.device.type == "cpu"
        self._fixed = count_is_set(os.environ)
        now = torch.get_num_threads()
        self.limit = now if self._fixed else min(now, core_share(os.environ, usable_cores()))
        config = model.config.get_text_config()
        hidden = int(getattr(config, "hidden_size", 1024))
        self._layer = hidden * int(getattr(config, "intermediate_size", None) or 4 * hidden)
        self._head = hidden * int(config.vocab_size)

    def for_layers(self, tokens: float) -> int:
        """The number of threads for a forward over so many tokens, without the head."""
        return self._threads_for(tokens * self._layer)

    def for_head(self, positions: int) -> int:
        """The number of threads for the logits of so many positions, and for what is made of them."""
        return self._threads_for(positions * self._head)

    def _threads_for(self, multiplications: float) -> int:
        return self.limit if self._fixed or multiplications >= _MIN_PARALLEL_WORK else 1

    @contextmanager
    def using(self, count: int) -> Iterator[None]:
        """While it lasts, torch computes with so many threads; for a model on a GPU nothing changes."""
        before = torch.get_num_threads()
        wanted = count if self._on_cpu else before
        if wanted != before:
            torch.set_num_threads(wanted)
        try:
            yield
        finally:
            if wanted != before:
                torch.set_num_threads(before)
