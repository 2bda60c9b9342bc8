"""What a side's script shares with the other's: the job, the clock's surroundings, memory, the answer.

A job is one JSON object on standard input; the answer is one JSON object on the last line of standard
output. This module imports neither product; torch only inside :func:`limit_threads`.
"""

from __future__ import annotations

import json
import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter, process_time
from typing import Any

COMPARED = ("torch", "transformers", "peft", "numpy", "tokenizers", "pytest-sway", "dlm-sway")


@dataclass(frozen=True)
class Job:
    """What one process measures.

    Attributes:
        scenario: ``load``, ``a``, ``b`` or ``c``.
        model: folder of the base model.
        adapter: folder of the adapter.
        vocabulary: how many tokens the tokenizer knows.
        threads: of torch.
    """

    scenario: str
    model: str
    adapter: str
    vocabulary: int
    threads: int


class Clock:
    """Times what is done inside its ``with``: wall seconds, and CPU seconds of all threads.

    Much less CPU than seconds × threads: somebody else was at work on the machine.
    """

    def __enter__(self) -> Clock:
        self._began, self._busy = perf_counter(), process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.read = {"seconds": perf_counter() - self._began, "cpu_s": process_time() - self._busy}


def read() -> Job:
    """The job on standard input."""
    return Job(**json.load(sys.stdin))


def limit_threads(threads: int) -> None:
    """Hold torch to the benchmark's threads."""
    import torch

    torch.set_num_threads(threads)


def peak_rss() -> int:
    """Largest resident memory of this process so far, in bytes.

    Linux carries the value over from the parent into the program that it starts: whatever starts a side
    must itself be small.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide the speed."""
    found = {"python": platform.python_version()}
    for name in COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def answer(measure: Callable[[Job], dict[str, Any]]) -> None:
    """Read a job, measure it, print the result."""
    result = measure(read())
    sys.stdout.write("\n" + json.dumps({**result, "versions": versions()}) + "\n")
