"""Readers of what earlier sessions kept: answers on disk, and answers that travel in a pack."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from pytest_sway.engine.disk_cache import _TABLE, FILE, DiskCache, _checksum
from pytest_sway.engine.noise_floor import NoiseFloor
from pytest_sway.engine.portable_answers import PortableAnswers, PortableAnswersError, PortableFloor
from pytest_sway.requests import Completion, CompletionScore, Divergence, Generate, Generation, Request, View
from tests.fuzz.mutations import changed_bytes, changed_value
from tests.fuzz.reader import Reader

_BASE, _TUNED = View("b"), View("b", "a")
_ANSWERS: dict[bytes, tuple[Request[Any], Any]] = {
    bytes([1]) * 16: (Divergence("a", _BASE, _TUNED), 0.0625),
    bytes([2]) * 16: (Completion("a", "b", _TUNED), CompletionScore(-2.5, 3, None)),
    bytes([3]) * 16: (Completion("a", "c", _TUNED), CompletionScore(-4.5, 3, 1.25)),
    bytes([4]) * 16: (Generate("a", _TUNED, 8), Generation("b c", (5, 6))),
}
_REQUESTS = {key: request for key, (request, _) in _ANSWERS.items()}
_KEPT = {key: answer for key, (_, answer) in _ANSWERS.items()}


def _read_cache(file: Path) -> None:
    """As an engine reads it: what comes back is an answer to what was asked."""
    cache = DiskCache(file.parent)
    try:
        for key, answer in cache.get(_REQUESTS).items():
            assert type(answer) is type(_KEPT[key]), answer
        cache.put(_KEPT)
        assert cache.trouble or cache.get(_REQUESTS) == _KEPT
        cache.notes()
    finally:
        cache.close()


def _read_changed_cache(file: Path) -> None:
    """A file whose bytes changed on disk: what comes back is what was kept."""
    cache = DiskCache(file.parent)
    found = cache.get(_REQUESTS)
    cache.close()
    assert found == {key: _KEPT[key] for key in found}, found


def _kept_file() -> bytes:
    with TemporaryDirectory() as folder:
        cache = DiskCache(Path(folder))
        cache.put(_KEPT)
        cache.close()
        return (Path(folder) / FILE).read_bytes()


_FILE = _kept_file()


@st.composite
def _overwritten(draw: st.DrawFn) -> bytes:
    """Bytes exchanged where they are, most of them where the answers are: at the end of the file."""
    content = bytearray(_FILE)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1) | st.integers(len(content) - 300, len(content) - 1))
        content[at] = draw(st.integers(0, 255) | st.sampled_from(b"0123456789-.e,[]"))
    return bytes(content)


def _with_values(values: Any) -> bytes:
    """A sound file with other values; one that SQLite cannot hold is left out."""
    with closing(sqlite3.connect(":memory:")) as base:
        base.deserialize(_FILE)
        for key, value in zip(_KEPT, values if isinstance(values, list) else [values], strict=False):
            text = json.dumps(value)
            checked = f"{_checksum(key, text.encode())} {text}"
            base.execute("UPDATE answers SET value = ? WHERE key = ?", (checked, key))
        base.commit()
        return base.serialize()


def _with_schema(statements: str) -> bytes:
    """A file that SQLite can open, with other tables."""
    with closing(sqlite3.connect(":memory:")) as base:
        base.executescript(statements)
        return base.serialize()


_ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, x, x FROM n"
_SCHEMAS = (
    "CREATE TABLE answers (key BLOB PRIMARY KEY, value TEXT, day INTEGER);",
    "CREATE TABLE answers (a, b);",
    f"CREATE VIEW answers (key, value, day) AS {_ENDLESS};",
    f"{_TABLE}; CREATE TRIGGER one BEFORE INSERT ON answers BEGIN SELECT raise(ABORT, 'no'); END;",
)
_VALUES = [[0.0625, [-2.5, 3, None], [-4.5, 3, 1.25], ["b c", [5, 6]]]]
_CACHES = changed_value(_VALUES).map(_with_values) | st.sampled_from([_with_schema(one) for one in _SCHEMAS])


def _portable_file() -> bytes:
    answers = PortableAnswers(None, "cpu fp32", PortableFloor("b", "v", NoiseFloor(1e-7, 1e-6)))
    answers.put(_KEPT)
    return answers.text().encode()


def _read_portable(file: Path) -> None:
    answers = PortableAnswers.read(file)
    answers.get(_REQUESTS)
    answers.noise_floor("b", "v")
    answers.text()


def _lines(records: Any) -> bytes:
    rows = records if isinstance(records, list) else [records]
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


_PORTABLE = [json.loads(line) for line in _portable_file().splitlines()]

READERS = [
    Reader("answer-cache", FILE, _read_cache, (), _CACHES, sound=[_FILE], writes=True),
    Reader(
        "changed-answer-cache", FILE, _read_changed_cache, (), _overwritten() | changed_bytes([_FILE]),
        sound=[_FILE], writes=True,
    ),
    Reader(
        "portable-answers", "portable-answers.jsonl", _read_portable, (PortableAnswersError,),
        changed_value([_PORTABLE]).map(_lines) | changed_bytes([_portable_file()]), sound=[_portable_file()],
    ),
]  # fmt: skip
