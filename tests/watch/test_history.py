"""The folder of results: whole files, rotation of its own ones alone, and what another watch left."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.watch import history as module
from pytest_sway.watch.history import History

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def _history(folder: Path, watched: str = "a", most: int = 0) -> History:
    return History(folder, watched, most, lambda: NOW)


def _own(digest: str, verdict: str = "pass") -> dict[str, Any]:
    return {"adapter_pointer": "/adapter", "adapter_digest": digest, "verdict": verdict}


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_watches_share_a_folder(tmp_path: Path) -> None:
    for number in range(3):
        _history(tmp_path, "a", 1).add({}, _own(f"a{number}"))
        _history(tmp_path, "b", 1).add({}, _own(f"b{number}"))
    assert _names(tmp_path) == [f"20261130T120000Z-0000{number}.result.json" for number in (5, 6)]
    assert _history(tmp_path, "a").find("a2") is not None
    assert _history(tmp_path, "a").find("b2") is None


def test_rotation_touches_nothing_else(tmp_path: Path) -> None:
    others = {
        "20251130T120000Z-00001.result.json": "{}",  # the name, but not what a watch writes
        "20251130T120000Z-00002.result.json": "[" * 100_000,
        "notes.result.json": "{}",
        "result.json": "{}",
    }
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    found = _history(tmp_path, most=2)
    for number in range(4):
        found.add({}, _own(str(number)))
    assert [entry.sequence for entry in found.entries] == [5, 6]
    assert set(others) <= set(_names(tmp_path))
    assert len(_names(tmp_path)) == len(others) + 2


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_is_there_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", no_links)
    found = _history(tmp_path)
    (tmp_path / "20261130T120000Z-00001.result.json").write_text("another's")
    assert found.add({"a": 1}, _own("x")).sequence == 2
    assert (tmp_path / "20261130T120000Z-00001.result.json").read_text() == "another's"
    assert json.loads(found.entries[0].file.read_text())["sway_watch"]["sequence"] == 2
    assert len(_names(tmp_path)) == 2


def test_what_a_killed_watch_left_is_removed(tmp_path: Path) -> None:
    old, new = (tmp_path / f".20261130T120000Z-0000{number}.result.json.77.tmp" for number in (1, 2))
    for file in (old, new):
        file.write_text("{")
    os.utime(old, (0, 0))
    _history(tmp_path)
    assert _names(tmp_path) == [new.name]


def test_a_rotation_that_fails_loses_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _history(tmp_path, most=1)
    found.add({}, _own("1"))
    found.entries[0].file.unlink()
    assert found.add({}, _own("2")).file.is_file()


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    own = {**_own("1"), "adapter_pointer": os.fsdecode(b"checkpoint-\xff1")}
    assert _history(tmp_path).add({}, own).file.is_file()
    assert module.OWN in json.loads(next(tmp_path.iterdir()).read_text())
