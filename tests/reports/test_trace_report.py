"""The trace's report: sums by probe and view, the slowest, and what a damaged file still tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from pytest_sway.reports.trace_report import (
    EmptyTraceError,
    TraceError,
    markdown,
    payload,
    read_trace,
    sum_trace,
    terminal,
    text,
)
from pytest_sway.text.width import width, without_control_characters

EVENT: dict[str, Any] = {
    "ts": 1700000000.1,
    "probe": "dk",
    "view_id": "ft",
    "prompt_hash": "0a1b2c3d4e5f",
    "top_k": 256,
    "op": "next_token_dist",
    "wall_ms": 12.5,
    "hit": False,
}
"""dlm-sway's own example."""
events = st.fixed_dictionaries(
    {},
    optional={
        "probe": st.none() | st.sampled_from(["a", "b"]),
        "view_id": st.sampled_from(["base", "ft"]),
        "wall_ms": st.integers(0, 1000),
        "hit": st.booleans(),
        "op": st.text(),
    },
).filter(lambda event: any(value is not None for value in event.values()))


def lines(*found: Any) -> list[bytes]:
    return [one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in found]


def sample() -> list[bytes]:
    """Two probes, one event of none, three lines that are no event."""
    return lines(
        {**EVENT, "wall_ms": 10.0},
        {**EVENT, "view_id": "base", "wall_ms": 4.0, "hit": True},
        {**EVENT, "probe": "talk", "op": "generate", "wall_ms": 1500.0},
        {**EVENT, "probe": None, "view_id": "embedder", "wall_ms": 0.5},
        b"\n",
        b'{"ts": 17',
        b"[1, 2]\n",
        {"something": "else"},
    )


def test_the_sums_are_dlm_sways() -> None:
    found = payload(sum_trace(sample(), slowest=2))
    assert found == {
        "total_events": 4,
        "total_wall_ms": 1514.5,
        "overall_hit_rate": 0.25,
        "per_probe": [
            {
                "probe": "talk",
                "n_events": 1,
                "total_ms": 1500.0,
                "cache_hits": 0,
                "cache_misses": 1,
                "hit_rate": 0.0,
            },
            {
                "probe": "dk",
                "n_events": 2,
                "total_ms": 14.0,
                "cache_hits": 1,
                "cache_misses": 1,
                "hit_rate": 0.5,
            },
            {
                "probe": "<unassigned>",
                "n_events": 1,
                "total_ms": 0.5,
                "cache_hits": 0,
                "cache_misses": 1,
                "hit_rate": 0.0,
            },
        ],
        "per_view": [
            {"view_id": "ft", "n_events": 2, "total_ms": 1510.0},
            {"view_id": "base", "n_events": 1, "total_ms": 4.0},
            {"view_id": "embedder", "n_events": 1, "total_ms": 0.5},
        ],
        "slowest": [
            {**EVENT, "probe": "talk", "op": "generate", "wall_ms": 1500.0},
            {**EVENT, "wall_ms": 10.0},
        ],
        "malformed": 3,
    }
    assert json.loads(text(sum_trace(sample(), slowest=2))) == found


@settings(max_examples=40)
@given(st.lists(events), st.integers(0, 5))
def test_every_event_is_counted_once_on_either_side(found: list[dict[str, Any]], slowest: int) -> None:
    report = sum_trace(lines(*found), slowest)
    assert report.malformed == 0
    assert report.total.n_events == len(found)
    for shares in (report.per_probe, report.per_view):
        assert sum(share.n_events for share in shares) == len(found)
        assert sum(share.total_ms for share in shares) == report.total.total_ms
        assert [share.total_ms for share in shares] == sorted((s.total_ms for s in shares), reverse=True)
    every = sorted((event.get("wall_ms", 0.0) for event in found), reverse=True)
    assert [event.wall_ms for event in report.slowest] == every[:slowest]


@given(st.lists(st.binary()))
def test_no_line_breaks_it(found: list[bytes]) -> None:
    report = sum_trace(found)
    assert report.total.n_events + report.malformed == sum(bool(line.strip()) for line in found)
    assert json.loads(text(report))["malformed"] == report.malformed


@pytest.mark.parametrize(
    "broken",
    [
        {"wall_ms": "12"},
        {"wall_ms": True},
        {"hit": 1},
        {"probe": 3},
        {"view_id": ["ft"]},
        {"top_k": 1.5},
        {"prompt_hash": {}},
    ],
)
def test_a_field_of_another_type_is_no_event(broken: dict[str, Any]) -> None:
    assert sum_trace(lines({**EVENT, **broken})).malformed == 1


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"1" + b"0" * 400])
def test_a_number_that_is_none_is_no_event(number: bytes) -> None:
    assert sum_trace([b'{"op": "x", "wall_ms": ' + number + b"}"]).malformed == 1


def test_of_equally_slow_events_the_first_are_kept() -> None:
    found = sum_trace(lines(*({**EVENT, "probe": name} for name in "abc")), slowest=2)
    assert [event.probe for event in found.slowest] == ["a", "b"]


def test_what_is_no_trace_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.jsonl cannot be read") as caught:
        read_trace(tmp_path / "none.jsonl")
    assert not isinstance(caught.value, EmptyTraceError)
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace("a\0b")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(EmptyTraceError, match=r"empty\.jsonl: the file is empty. Give a file"):
        read_trace(empty)
    empty.write_text("a\nb\n")
    with pytest.raises(EmptyTraceError, match="none of its 2 lines is a trace event"):
        read_trace(empty)


def test_the_report_for_readers(snapshot: SnapshotAssertion) -> None:
    nulls = lines(*({**EVENT, "view_id": f"null_{n}", "wall_ms": 2.0} for n in range(20)))
    report = sum_trace([*sample(), *nulls], slowest=3)
    shown = terminal(report)
    assert "\n".join(shown) == snapshot(name="terminal")
    assert all(len(line) <= 80 for line in shown)
    assert markdown(report) == snapshot(name="markdown")


texts = st.text(max_size=40) | st.sampled_from(["名前" * 30, "v" * 90, "a\nb", "\x1b[31mred"])
named = st.fixed_dictionaries(
    {"wall_ms": st.floats(0, 1e5) | st.just(1e308)},
    optional={"probe": texts, "view_id": texts, "op": texts, "prompt_hash": texts, "hit": st.booleans()},
)


@settings(max_examples=60)
@given(st.lists(named, max_size=4), st.integers(50, 120))
def test_no_line_is_wider_than_the_terminal_or_steers_it(found: list[dict[str, Any]], columns: int) -> None:
    report = sum_trace(lines(*found))
    tables = sum(line == "" for line in terminal(report, columns))
    assert tables == 2 + bool(found)
    for line in terminal(report, columns):
        assert width(line) <= columns
        assert line == without_control_characters(line)


def test_a_long_name_shows_its_end_and_columns_align() -> None:
    view = "runs/" + "x" * 90 + "/adapter"
    shown = terminal(sum_trace(lines({**EVENT, "probe": "名前" * 30, "view_id": view}, EVENT)))
    assert all(len(line) <= 80 for line in shown)
    heads, row = (next(line for line in shown if word in line) for word in ("  view     ", "/adapter"))
    assert heads.startswith("  view")
    assert row.startswith("  …xxx")
    assert row.split()[1:] == ["1", "0.01s", "0", "%"]
    assert (len(heads), row.index("/adapter") + 8) == (len(row), heads.index("  events"))
    slowest = shown[next(n for n, line in enumerate(shown) if "slowest: probe" in line) :]
    assert len({width(line) for line in slowest}) == 1


def test_a_sum_that_no_double_holds_is_none_in_the_file() -> None:
    report = sum_trace(lines(*({"probe": f"p{n}", "wall_ms": 1e308} for n in range(20))))
    assert json.loads(text(report))["total_wall_ms"] is None
    assert any(line.split() == ["10", "more", "10", "—", "0", "%"] for line in terminal(report))


def test_our_own_trace_is_read(project: pytest.Pytester) -> None:
    project.runpytest("sway.yaml", "--sway-trace=trace.jsonl")
    report = read_trace(project.path / "trace.jsonl")
    written = (project.path / "trace.jsonl").read_text().splitlines()
    assert (report.total.n_events, report.malformed) == (len(written), 0)
    assert {share.name for share in report.per_probe} == {"baseline", "dk", "curve", "talk"}
    assert {"base", "ft", "null_7"} <= {share.name for share in report.per_view}
    assert 0 < report.total.cache_hits < report.total.n_events
    assert any('"op": "generate"' in line for line in written)
