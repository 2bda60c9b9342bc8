"""Readers of traces, and of the arguments that a test's mark has."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import strategies as st

from pytest_sway.items import marks
from pytest_sway.items.item_key import InvalidMark
from pytest_sway.reports import trace_report
from pytest_sway.text.width import without_control_characters
from pytest_sway.user_error import UserError
from tests.fuzz.mutations import changed_bytes, changed_value, json_documents
from tests.fuzz.reader import Reader

_EVENTS = [
    {
        "ts": 1760000000.5,
        "probe": "a delta_kl",
        "view_id": "tuned@1",
        "prompt_hash": "0f" * 8,
        "top_k": 256,
        "op": "divergence",
        "wall_ms": 12.5,
        "hit": False,
    },
    {"view_id": "base", "op": "tokens", "wall_ms": 0.1, "hit": True},
]
_ARGUMENTS = {"spec": "sway.yaml", "threshold": 0.6, "weights": {"adherence": 1.0, "attribution": 0}}


def _lines(events: list[Any]) -> bytes:
    return "".join(f"{json.dumps(event)}\n" for event in events).encode()


def _read_trace(file: Path) -> None:
    report = trace_report.read_trace(file)
    lines = trace_report.terminal(report)
    assert all(without_control_characters(line) == line for line in lines), lines
    trace_report.markdown(report)
    json.loads(trace_report.text(report))


def _read_mark(file: Path) -> None:
    """The mark whose arguments the file holds, as a test would have it."""
    try:
        given = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return
    arguments = {"kwargs": given} if isinstance(given, dict) else {"args": [given]}
    mark = SimpleNamespace(**{"args": (), "kwargs": {}, **arguments})
    place = SimpleNamespace(path=file, config=SimpleNamespace(rootpath=file.parent), ihook=None)
    refused = pytest.Collector.CollectError("the spec")
    with patch.object(marks, "suite_of", side_effect=refused):
        found = marks._suite_mark(place, mark)  # type: ignore[arg-type] - what it reads of a test and a mark
    assert isinstance(found, InvalidMark)
    raise UserError(found.message)


READERS = [
    Reader(
        "trace",
        "trace.jsonl",
        _read_trace,
        (trace_report.TraceError,),
        st.lists(changed_value(_EVENTS), max_size=5).map(_lines) | changed_bytes([_lines(_EVENTS)]),
        sound=[_lines(_EVENTS)],
    ),
    Reader("mark", "mark.json", _read_mark, (UserError,), json_documents(_ARGUMENTS, "sway.yaml")),
]
