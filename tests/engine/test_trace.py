"""``--sway-trace``: a line per request and view, in dlm-sway's format; a disk that is full stops nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.engine.trace import Trace
from pytest_sway.requests import Completion, Divergence, Embed, Generate, Turn, View

BASE, TUNED = View("b"), View("b", "a")


def written(path: Path, *events: Any) -> list[dict[str, Any]]:
    Trace(path).write(events)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_line_for_each_view_with_its_share_of_the_time(tmp_path: Path) -> None:
    first, second = written(tmp_path / "t.jsonl", ("dk", Divergence("text", BASE, TUNED), 0.0042, False))
    assert first.pop("ts") == second.pop("ts") > 1e9
    assert first == {
        "probe": "dk",
        "view_id": "base",
        "prompt_hash": hashlib.sha1(b"text").hexdigest()[:12],
        "top_k": 0,
        "op": "next_token_dist",
        "wall_ms": 2.1,
        "hit": False,
    }
    assert second == {**first, "view_id": "ft"}


@pytest.mark.parametrize(
    ("request_", "op", "text"),
    [
        (Completion("text", "more", TUNED), "logprob_of", "text\0more"),
        (Completion("", "more", TUNED), "rolling_logprob", "more"),
        (Generate("text", TUNED, 4), "generate", "text"),
        (Generate((Turn("user", "Ä"),), TUNED, 4), "generate", repr((Turn("user", "Ä"),))),
        (Embed("text", "m"), "Embed", "text"),
    ],
)
def test_operations_and_hashes(tmp_path: Path, request_: Any, op: str, text: str) -> None:
    (line,) = written(tmp_path / "t.jsonl", ("", request_, 0.001, True))
    assert (line["op"], line["probe"], line["hit"], line["wall_ms"]) == (op, None, True, 1.0)
    assert line["view_id"] == ("embedder" if op == "Embed" else "ft")
    assert line["prompt_hash"] == hashlib.sha1(text.encode()).hexdigest()[:12]


def test_later_rounds_are_appended(tmp_path: Path) -> None:
    event = "dk", Completion("ä", "b", TUNED), 0.0, False
    assert len(written(tmp_path / "t.jsonl", event)) == 1
    assert len(written(tmp_path / "t.jsonl", event, event)) == 3


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "nowhere/t.jsonl")
    assert trace.trouble == ""
    trace.write([("dk", Completion("a", "b", TUNED), 0.0, False)])
    assert trace.trouble.startswith("the trace is incomplete: ")
