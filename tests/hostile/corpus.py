"""All hostile inputs, and what shows that the harness would see them succeed."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from urllib.request import urlopen

from tests.hostile import (
    corpus_again,
    corpus_bombs,
    corpus_code,
    corpus_pickles,
    corpus_templates,
    corpus_tensors,
    corpus_tokenizers,
)
from tests.hostile.case import Answer, Case, written

CASES: list[Case] = [
    *corpus_pickles.CASES,
    *corpus_code.CASES,
    *corpus_templates.CASES,
    *corpus_tokenizers.CASES,
    *corpus_tensors.CASES,
    *corpus_bombs.CASES,
    *corpus_again.CASES,
]


def _unpickled(folder: Path) -> Answer:
    return Answer(False, str(pickle.loads((folder / "x").read_bytes())))


def _connected(_: Path) -> Answer:
    try:
        urlopen("http://127.0.0.1:9/", timeout=1)
    except OSError as error:
        return Answer(True, str(error))
    return Answer(False, "")


def _written_elsewhere(folder: Path) -> Answer:
    written(folder.parent / "elsewhere", b"x")
    return Answer(False, "")


def _computed(_: Path) -> Answer:
    while time.process_time() < 60:
        pass
    return Answer(False, "")


def _read_pipe(folder: Path) -> Answer:
    return Answer(False, (folder / "x").read_text("utf-8"))


def _nothing(_: Path) -> None:
    pass


CONTROLS = [
    Case("control", "executed", lambda folder: written(folder / "x", corpus_pickles.plain(folder)), _unpickled, "either"),
    Case("control", "connected", _nothing, _connected, "either"),
    Case("control", "elsewhere", _nothing, _written_elsewhere, "either"),
    Case("control", "memory", _nothing, lambda _: Answer(False, str(len(b"x" * (2 << 30)))), "either"),
    Case("control", "too much memory", _nothing, lambda _: Answer(False, str(len(b"x" * (64 << 30)))), "either"),
    Case("control", "time", _nothing, _computed, "either"),
    Case("control", "pipe", lambda folder: corpus_bombs.fifo(folder / "x"), _read_pipe, "either"),
    Case("control", "escape", _nothing, lambda _: Answer(False, "\x1b[31m"), "either"),
    Case("control", "traceback", _nothing, lambda _: Answer(False, str(1 / 0)), "either"),
    Case("control", "crash", _nothing, lambda _: os._exit(3), "either"),
    Case("control", "not refused", _nothing, lambda _: Answer(False, ""), "refused"),
]  # fmt: skip
"""Cases whose harm is done: each must be found."""
