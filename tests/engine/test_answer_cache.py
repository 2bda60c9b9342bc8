"""What is kept of answers, in memory and on disk: by content, bounded, and never an error."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.engine.answer_keys import key_of
from pytest_sway.engine.disk_cache import FILE, DiskCache, _checksum, clear, folder
from pytest_sway.engine.engine import Engine
from pytest_sway.engine.memory_cache import MemoryCache
from pytest_sway.requests import (
    Completion,
    CompletionScore,
    Divergence,
    Embed,
    Generate,
    Generation,
    NullSeed,
    Request,
    RequestError,
    Turn,
    View,
)

BASE, TUNED = View("b"), View("b", "a")
NULL = View("b", "a", NullSeed("norm_matched", 0, 1000, 0.02))
MOVED = Divergence("text", BASE, TUNED)
SCORED = Completion("text", "more", TUNED)
WRITTEN = Generate("text", BASE, 4)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DiskCache]:
    made = DiskCache(tmp_path / "answers")
    yield made
    made.close()


class Counting(FakeBackend):
    """Fake answers with an identity, so that they may be kept; counts what it is asked."""

    identity = "counting 1"

    def __init__(self, answer: Any = lambda request: 0.25) -> None:
        self.asked: list[Request[Any]] = []

        def answered(request: Request[Any]) -> Any:
            self.asked.append(request)
            return answer(request)

        super().__init__(answered)


VARIANTS = [
    MOVED,
    Divergence("text ", BASE, TUNED),
    Divergence("text", TUNED, BASE),
    Divergence("text", BASE, TUNED.scaled(0.5)),
    Divergence("text", BASE, NULL),
    Divergence("text", BASE, View("b", "other")),
    Divergence("text", BASE, TUNED, "kl"),
    Divergence("text", BASE, TUNED, "js", (1,)),
    Divergence((Turn("user", "text"),), BASE, TUNED),
    SCORED,
    Completion("textmore", "", TUNED),
    WRITTEN,
    Generate("text", BASE, 5),
]


def test_whatever_an_answer_depends_on_is_in_its_key() -> None:
    assert len({key_of(request, identity) for request in VARIANTS for identity in ("fp32", "bf16")}) == 26
    assert key_of(MOVED, "x") == key_of(Divergence("text", View("b"), View("b", "a")), "x")


def test_memory_is_bounded_and_keeps_what_was_used_last() -> None:
    cache = MemoryCache(most=40_000)
    asked = [Divergence(str(n), BASE, TUNED) for n in range(100)]
    for n in range(100):
        cache.put(asked[n], float(n))
        assert cache.get(asked[0]) == 0.0
    assert len(cache) == 40_000 // 1024
    assert cache.get(asked[99]) == 99.0
    assert cache.get(asked[1]) is None
    cache.put(WRITTEN, Generation("x" * 8000, ()))
    assert cache.get(WRITTEN) is not None
    assert len(cache) < 10


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(numbers, min_size=1),
    numbers,
    numbers | st.none(),
    st.integers(1, 10**6),
    st.text(),
    st.lists(st.integers(0, 2**31 - 1)),
)
def test_what_is_read_is_what_was_kept(
    moved: list[float], logprob: float, log_odds: float | None, tokens: int, text: str, ids: list[int]
) -> None:
    import tempfile

    answers: dict[Request[Any], Any] = {Divergence(str(n), BASE, TUNED): x for n, x in enumerate(moved)}
    answers[SCORED] = CompletionScore(logprob, tokens, log_odds)
    answers[WRITTEN] = Generation(text.encode("utf-8", "replace").decode(), tuple(ids))
    keys = {key_of(request, "x"): request for request in answers}
    with tempfile.TemporaryDirectory() as where:
        first = DiskCache(Path(where))
        first.put({key: answers[request] for key, request in keys.items()})
        first.close()
        second = DiskCache(Path(where))
        found = second.get(keys)
        second.close()
    assert {keys[key]: answer for key, answer in found.items()} == answers


def test_more_keys_than_sqlite_takes_at_once(store: DiskCache) -> None:
    requests = {key_of(r, ""): r for r in (Divergence(str(n), BASE, TUNED) for n in range(2500))}
    store.put(dict.fromkeys(requests, 0.5))
    assert len(store.get(requests)) == 2500


@pytest.mark.parametrize(
    "answer", [math.nan, math.inf, RequestError("no"), CompletionScore(math.nan, 3), None]
)
def test_what_is_no_number_is_not_kept(store: DiskCache, answer: Any) -> None:
    store.put({b"key": answer, b"good": 0.5})
    assert store.get({b"key": MOVED, b"good": MOVED}) == {b"good": 0.5}
    assert not store.trouble


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nan",
        "NaN",
        "Infinity",
        "{}",
        '"0.5"',
        "[0.5, 2]",
        "[0.5, 2, 1.5]",
        "[0.5, 2.5, 0.1]",
        "[0.5, 2, NaN]",
        '["a", ["b"]]',
        "1",
        "true",
        "[",
    ],
)
@pytest.mark.parametrize("request_", [MOVED, SCORED, WRITTEN], ids=["moved", "scored", "written"])
def test_a_foreign_value_is_no_answer(store: DiskCache, request_: Request[Any], text: str) -> None:
    with sqlite3.connect(store.path) as base:
        value = f"{_checksum(b'key', text.encode())} {text}"
        base.execute("INSERT INTO answers VALUES (?, ?, 0)", (b"key", value))
    found = store.get({b"key": request_})
    if (request_, text) == (SCORED, "[0.5, 2, 1.5]"):
        assert found == {b"key": CompletionScore(0.5, 2, 1.5)}
        assert store.notes() == []
        return
    assert found == {}
    (note,) = store.notes()
    assert note.startswith("1 answers in")
    assert note.endswith("could not be read; they were recomputed")
    store.put({b"key": 0.25})
    assert store.get({b"key": MOVED}) == {b"key": 0.25}


def test_a_byte_that_changed_on_disk_is_no_other_answer(store: DiskCache) -> None:
    store.put({b"key": 0.25, b"another": 0.5})
    for change in (
        "replace(value, '0.25', '0.75')",
        "(SELECT value FROM answers WHERE key = CAST('another' AS BLOB))",
    ):
        with sqlite3.connect(store.path) as base:
            base.execute(f"UPDATE answers SET value = {change} WHERE key = CAST('key' AS BLOB)")
        assert store.get({b"key": MOVED}) == {}
        store.put({b"key": 0.25})
        assert store.get({b"key": MOVED}) == {b"key": 0.25}


def test_a_view_or_a_trigger_is_never_run(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as base:
        base.execute(
            "CREATE VIEW answers (key, value, day) AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL "
            "SELECT x + 1 FROM n) SELECT x, x, x FROM n"
        )
    store = DiskCache(tmp_path)
    assert "was recreated" in " ".join(store.notes())
    assert store.get({b"key": MOVED}) == {}
    with sqlite3.connect(store.path) as base:
        base.execute("CREATE TRIGGER one BEFORE INSERT ON answers BEGIN SELECT raise(ABORT, 'no'); END")
    store.close()
    store = DiskCache(tmp_path)
    store.put({b"key": 0.5})
    assert store.get({b"key": MOVED}) == {b"key": 0.5}
    store.close()


def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this was never a database, only much too long to be one" * 100)
    store = DiskCache(tmp_path)
    store.put({b"key": 0.5})
    assert store.get({b"key": MOVED}) == {b"key": 0.5}
    (note,) = store.notes()
    assert "was not a valid answer cache (file is not a database); it was recreated" in note
    store.close()


def test_a_file_that_breaks_while_it_is_open_is_made_anew(tmp_path: Path) -> None:
    store = DiskCache(tmp_path)
    store.put({key_of(r, ""): 0.5 for r in (Divergence(str(n), BASE, TUNED) for n in range(3000))})
    store.close()
    store = DiskCache(tmp_path)
    size = (tmp_path / FILE).stat().st_size
    with (tmp_path / FILE).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 8192))
    assert store.get({key_of(Divergence("5", BASE, TUNED), ""): MOVED}) == {}
    assert "was recreated" in " ".join(store.notes())
    store.put({b"key": 0.5})
    assert store.get({b"key": MOVED}) == {b"key": 0.5}
    assert not store.trouble
    store.close()


def test_text_that_is_none_and_a_strangers_table_are_no_danger(tmp_path: Path) -> None:
    store = DiskCache(tmp_path)
    with sqlite3.connect(store.path) as base:
        base.execute("INSERT INTO answers VALUES (?, CAST(? AS TEXT), 0)", (b"key", b"\xff\xfe"))
    assert store.get({b"key": MOVED}) == {}
    store.put({b"key": 0.5})
    assert store.get({b"key": MOVED}) == {b"key": 0.5}
    store.close()
    with sqlite3.connect(store.path) as base:
        base.execute("DROP TABLE answers")
        base.execute("CREATE TABLE answers (name TEXT, value TEXT, day INTEGER)")
    store = DiskCache(tmp_path)
    assert "was recreated" in " ".join(store.notes())
    store.put({b"key": 0.5})
    assert store.get({b"key": MOVED}) == {b"key": 0.5}
    store.close()


def test_a_file_cut_in_half_is_no_danger(tmp_path: Path) -> None:
    store = DiskCache(tmp_path)
    store.put({key_of(r, ""): 0.5 for r in (Divergence(str(n), BASE, TUNED) for n in range(3000))})
    store.close()
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: len(whole) // 2])
    backend = Counting()
    engine = Engine(backend, store=DiskCache(tmp_path))
    assert engine.answer([MOVED])[MOVED] == 0.25
    engine.close()


def test_a_folder_that_cannot_be_made_is_a_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = Engine(Counting(), store=DiskCache(tmp_path / "file" / "below"))
    assert engine.answer([MOVED])[MOVED] == 0.25
    (note,) = engine.notes()
    assert note.startswith("the answer cache ")


def test_a_store_that_grew_too_large_loses_its_older_half(tmp_path: Path) -> None:
    store = DiskCache(tmp_path)
    keys = {key_of(r, ""): r for r in (Divergence(str(n), BASE, TUNED) for n in range(4000))}
    store.put(dict.fromkeys(keys, 0.5))
    store.close()
    smaller = DiskCache(tmp_path, most=100_000)
    assert len(smaller.get(keys)) == 1999
    smaller.close()


WRITER = """
import sys
from pathlib import Path
from pytest_sway.engine.disk_cache import DiskCache
store = DiskCache(Path(sys.argv[1]))
for n in range(200):
    store.put({f"{sys.argv[2]}{n}-{k}".encode(): float(n) for k in range(5)})
assert not store.trouble, store.trouble
store.close()
"""


def test_processes_may_share_the_file(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], stderr=subprocess.PIPE)
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.communicate(timeout=120)[1] == b""
        assert writer.returncode == 0
    store = DiskCache(tmp_path)
    keys = {f"{name}{n}-{k}".encode(): MOVED for name in "ab" for n in range(200) for k in range(5)}
    assert len(store.get(keys)) == 2000
    store.close()


def test_another_session_asks_nothing_twice(tmp_path: Path) -> None:
    for session in range(2):
        backend = Counting()
        engine = Engine(backend, store=DiskCache(tmp_path))
        found = engine.answer([MOVED, Divergence("text", BASE, NULL), MOVED])
        assert found[MOVED] == 0.25
        assert len(backend.asked) == (2 if session == 0 else 0)
        assert engine.stats()["stored_hits"] == (0 if session == 0 else 2)
        engine.close()


@pytest.mark.parametrize("change", ["identity", "alone"])
def test_other_arithmetic_is_another_answer(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Engine(Counting(), store=DiskCache(tmp_path))
    first.answer([MOVED])
    first.close()
    backend = Counting()
    if change == "identity":
        monkeypatch.setattr(Counting, "identity", "counting 2")
    second = Engine(backend, store=DiskCache(tmp_path), batch_invariant=change == "alone")
    second.answer([MOVED])
    second.close()
    assert backend.asked == [MOVED]


def test_a_backend_without_an_identity_is_not_kept_on_disk(tmp_path: Path) -> None:
    engine = Engine(FakeBackend(lambda _: 0.5), store=DiskCache(tmp_path))
    engine.answer([MOVED])
    engine.close()
    with sqlite3.connect(tmp_path / FILE) as base:
        assert base.execute("SELECT count(*) FROM answers").fetchone() == (0,)


def test_an_error_is_asked_again(tmp_path: Path) -> None:
    def refused(request: Request[Any]) -> float:
        raise RequestError("not now")

    first = Engine(Counting(refused), store=DiskCache(tmp_path))
    assert isinstance(first.answer([MOVED])[MOVED], RequestError)
    first.close()
    backend = Counting()
    engine = Engine(backend, store=DiskCache(tmp_path))
    assert engine.answer([MOVED])[MOVED] == 0.25
    engine.close()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"SWAY_NULL_CACHE_DIR": "/tmp/here"}, Path("/tmp/here")),
        ({"SWAY_NULL_CACHE_DIR": "/tmp/here", "SWAY_DISABLE_NULL_CACHE": "1"}, None),
        ({"XDG_CACHE_HOME": "/tmp/xdg"}, Path("/tmp/xdg/pytest-sway")),
        ({"HOME": "/tmp/home"}, Path("/tmp/home/.cache/pytest-sway")),
        ({"SWAY_NULL_CACHE_DIR": "/tmp/here", "XDG_CACHE_HOME": "/tmp/xdg"}, Path("/tmp/here")),
        ({"XDG_CACHE_HOME": "/tmp/xdg", "SWAY_DISABLE_NULL_CACHE": "0"}, Path("/tmp/xdg/pytest-sway")),
    ],
)
def test_dlm_sways_environment_variables_hold(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], expected: Path | None
) -> None:
    for name in ("SWAY_NULL_CACHE_DIR", "SWAY_DISABLE_NULL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert folder() == expected


def test_clearing_forgets_our_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path))
    store = DiskCache(tmp_path)
    store.put({b"key": 0.5})
    store.close()
    (tmp_path / "mine.json").write_text("{}")
    clear()
    assert (tmp_path / "mine.json").exists()
    store = DiskCache(tmp_path)
    assert store.get({b"key": MOVED}) == {}
    store.close()


def test_clearing_beside_an_open_session_harms_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path))
    store = DiskCache(tmp_path)
    store.put({b"key": 0.5})
    clear()
    assert store.get({b"key": MOVED}) == {}
    store.put({b"key": 0.25})
    other = DiskCache(tmp_path)
    assert other.get({b"key": MOVED}) == {b"key": 0.25}
    for one in (store, other):
        assert not one.trouble
        one.close()


def test_clearing_what_never_was_a_database_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path))
    clear()
    (tmp_path / FILE).write_bytes(b"nonsense" * 1000)
    clear()
    assert not (tmp_path / FILE).exists()


def test_a_strangers_request_is_kept_in_memory_alone(tmp_path: Path) -> None:
    """Its text need not say all that it asks."""

    class Strange(Request[float]):
        @property
        def views(self) -> tuple[View, ...]:
            return (BASE,)

        def __repr__(self) -> str:
            return "strange"

    for _ in range(2):
        backend = Counting()
        engine = Engine(backend, store=DiskCache(tmp_path))
        one, other = Strange(), Strange()
        engine.answer([one, other])
        engine.answer([one])
        assert backend.asked == [one, other]
        engine.close()


class Vectors:
    """An embedder of one dimension; a model without a name cannot be had."""

    def embed(self, texts: Sequence[str], model: str) -> list[tuple[float, ...]]:
        if not model:
            raise RequestError("no such model")
        return [(float(len(text)),) for text in texts]


def test_vectors_are_made_of_each_models_texts() -> None:
    engine = Engine(Counting(), embedder=Vectors())
    asked = [Embed("a", "m"), Embed("bcd", "m"), Embed("ab", ""), Embed("ab", "n")]
    found = engine.answer(asked)
    assert [found[one] for one in (asked[0], asked[1], asked[3])] == [(1.0,), (3.0,), (2.0,)]
    assert str(found[asked[2]]) == "no such model"
    without = Engine(Counting()).answer([asked[0]])[asked[0]]
    assert "pip install 'pytest-sway[semsim]'" in str(without)


def test_hits_are_counted() -> None:
    engine = Engine(Counting())
    assert engine.stats()["hit_rate"] == 0.0
    engine.answer([MOVED])
    engine.answer([MOVED, MOVED, SCORED])
    stats = engine.stats()
    assert (stats["cache_hits"], stats["cache_misses"], stats["hit_rate"]) == (2, 2, 0.5)


def test_sqlites_own_statistics_discard_no_answer(tmp_path: Path) -> None:
    from contextlib import closing

    from pytest_sway.engine import disk_cache

    store = disk_cache.DiskCache(tmp_path)
    store.put({b"key": 0.5})
    store.close()
    with closing(sqlite3.connect(store.path)) as base, base:
        base.execute("ANALYZE")
    assert disk_cache.count(store.path) == 1


def test_clearing_removes_the_files_of_earlier_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path))
    (tmp_path / "answers-2.sqlite").write_bytes(b"old")
    (tmp_path / "answers-2.sqlite-journal").write_bytes(b"old")
    clear()
    assert list(tmp_path.iterdir()) == []
