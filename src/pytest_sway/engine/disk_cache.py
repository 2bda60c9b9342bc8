"""Answers kept on disk between sessions: scalars and continuations of whole requests, never logits.

One SQLite file, in ``$SWAY_NULL_CACHE_DIR``, else ``$XDG_CACHE_HOME/pytest-sway``, else
``~/.cache/pytest-sway``; ``SWAY_DISABLE_NULL_CACHE=1`` keeps nothing. Answers are written every few
seconds and at the end of a round, each time in one transaction, so processes may share the file, and one that
is killed has lost seconds. Values are a checksum and JSON; nothing is run.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pytest_sway.requests import Completion, CompletionScore, Divergence, Generate, Generation, Request

FILE = "answers-3.sqlite"
MOST_BYTES = 256 << 20
_TABLE = (
    "CREATE TABLE IF NOT EXISTS answers "
    "(key BLOB PRIMARY KEY, value TEXT NOT NULL, day INTEGER NOT NULL) WITHOUT ROWID"
)
_SCHEMA = [(_TABLE.replace("IF NOT EXISTS ", "").encode(),)]
"""All that the file defines: a view or a trigger that stands in it would be run by a query."""
_STATISTICS = (
    (b"CREATE TABLE sqlite_stat1(tbl,idx,stat)",),
    (b"CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",),
)
"""What ANALYZE adds; by its text, since a hostile file may give any name to a trigger."""
_DAY = 86400
_WAIT_S = 20
_FLUSH_EVERY_S = 5.0
"""Answers wait so long for others, before they are written together."""
_TRY_AGAIN_S = 30.0
"""After answers could not be written: an attempt may wait for a lock for as long as ``_WAIT_S``."""
_MOST_TOKENS = 1 << 31
_CHUNK = 500  # SQLite's smallest limit of variables is 999


def folder() -> Path | None:
    """Where answers are kept; None where nothing is."""
    if os.environ.get("SWAY_DISABLE_NULL_CACHE", "") not in ("", "0"):
        return None
    if named := os.environ.get("SWAY_NULL_CACHE_DIR"):
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(cache).expanduser() / "pytest-sway"
    except RuntimeError:  # no home
        return None


def clear() -> None:
    """Forget every answer, also while another session has the file open, and the files of earlier versions.

    Raises:
        OSError, sqlite3.Error: the file cannot be written.
    """
    where = folder()
    if where is None:
        return
    for older in where.glob("answers-*.sqlite*"):
        if not older.name.startswith(FILE):
            older.unlink(missing_ok=True)
    if not (where / FILE).exists():
        return
    try:
        with closing(_connect(where / FILE)) as base, base:
            base.execute("DROP TABLE answers")
            base.execute(_TABLE)
    except sqlite3.DatabaseError as error:
        if not _is_broken(error):
            raise
        _remove(where / FILE)  # it never was a database


def count(file: Path) -> int:
    """How many answers a file has; it is only read.

    Raises:
        sqlite3.Error: it cannot be read, or is no answer cache.
    """
    base = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    base.text_factory = bytes
    with closing(base):
        _check_schema(base)
        return int(base.execute("SELECT COUNT(*) FROM answers").fetchone()[0])


def _connect(path: Path) -> sqlite3.Connection:
    """The file, open, with its table.

    Raises:
        sqlite3.Error: it cannot be opened, or holds something else.
    """
    base = sqlite3.connect(path, timeout=_WAIT_S)
    base.text_factory = bytes  # whether it is text is judged entry by entry
    try:
        with base:
            _check_schema(base, is_made=True)
    except BaseException:
        base.close()
        raise
    return base


def _check_schema(base: sqlite3.Connection, *, is_made: bool = False) -> None:
    """Raise DatabaseError where a file defines anything but the table, which is made first if ``is_made``."""
    try:
        if is_made:
            base.execute(_TABLE)
        found = base.execute("SELECT sql FROM sqlite_master").fetchall()
    except UnicodeDecodeError:  # in SQLite's own message, which repeats the file
        raise sqlite3.DatabaseError("its schema is not text") from None
    if [one for one in found if one not in _STATISTICS] != _SCHEMA:
        raise sqlite3.DatabaseError("it defines other tables")


class DiskCache:
    """The file, open; what goes wrong with it turns it off with a reason and stops nobody."""

    def __init__(self, where: Path, most: int = MOST_BYTES) -> None:
        self.path = where / FILE
        self._off = ""
        self._unwritten = ""
        self._try_again_at = 0.0
        self._unreadable = 0
        self._most = most
        self._was_broken = ""
        self._base: sqlite3.Connection | None = None
        self._waiting: dict[bytes, Any] = {}
        self._written_at = time.monotonic()
        try:
            where.mkdir(parents=True, exist_ok=True)
            self._base = self._open()
        except (sqlite3.Error, OSError) as error:
            self._turn_off(error)

    @property
    def trouble(self) -> str:
        """Why answers are not kept at present; empty where they are."""
        if self._off or not self._unwritten:
            return self._off
        return (
            f"answers could not be written to {self.path}: {self._unwritten}. They are computed again in the "
            "next run"
        )

    def get(self, keys: Mapping[bytes, Request[Any]]) -> dict[bytes, Any]:
        """The answers that are known; one that does not read as its request's answer is not."""
        if self._base is None or not keys:
            return {}
        found: dict[bytes, Any] = {}
        try:
            for part in _chunks(list(keys)):
                marks = ",".join("?" * len(part))
                sql = f"SELECT key, value FROM answers WHERE key IN ({marks})"  # noqa: S608 - marks alone
                for key, value in self._base.execute(sql, part):
                    request = keys.get(key)  # a damaged page may hold another key than was looked up
                    answer = from_json(request, _checked_text(key, value)) if request is not None else None
                    if answer is None:
                        self._unreadable += 1
                    else:
                        found[key] = answer
        except sqlite3.Error as error:
            self._turn_off(error)
        return found

    def put(self, answers: Mapping[bytes, Any]) -> None:
        """Keep answers, all or none; what is not finite is no answer to keep."""
        if self._base is None:
            return
        today = int(time.time()) // _DAY
        texts = {key: text for key, answer in answers.items() if (text := to_json(answer))}
        rows = [(key, f"{_checksum(key, text.encode())} {text}", today) for key, text in texts.items()]
        try:
            with self._base:
                self._base.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)
        except sqlite3.OperationalError as error:  # a full disk or another process's lock may pass
            self._waiting = {**answers, **self._waiting}
            self._try_again_at = time.monotonic() + _TRY_AGAIN_S
            self._unwritten = str(error)
        except sqlite3.Error as error:
            self._waiting = {**answers, **self._waiting}  # for the file that replaces a broken one
            self._turn_off(error)
        else:
            self._unwritten = ""

    def put_soon(self, answers: Mapping[bytes, Any]) -> None:
        """Keep answers together with those to come, within seconds."""
        self._waiting.update(answers)
        if time.monotonic() - self._written_at >= _FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Keep what waits; what could not be written waits for a later flush."""
        if time.monotonic() < self._try_again_at:
            return
        waiting, self._waiting, self._written_at = self._waiting, {}, time.monotonic()
        if waiting:
            self.put(waiting)

    def notes(self) -> list[str]:
        """What a reader of the report should know of the file."""
        notes = [self.trouble] if self.trouble else []
        if self._was_broken:
            notes.append(f"{self.path} was not a valid answer cache ({self._was_broken}); it was recreated")
        if self._unreadable:
            notes.append(f"{self._unreadable} answers in {self.path} could not be read; they were recomputed")
        return notes

    def close(self) -> None:
        """Write what still waits, and let go of the file."""
        self._try_again_at = 0.0
        self.flush()
        self._let_go()

    def _let_go(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None

    def _open(self) -> sqlite3.Connection:
        base = _connect(self.path)
        try:
            with base:
                self._shrink(base, self._most)
        except BaseException:
            base.close()
            raise
        return base

    def _shrink(self, base: sqlite3.Connection, most: int) -> None:
        """Where the file has grown too large, the older half of its answers goes."""
        (pages,), (size,), (free,) = (
            base.execute(f"PRAGMA {name}").fetchone()
            for name in ("page_count", "page_size", "freelist_count")
        )
        if (pages - free) * size > most:
            (count,) = base.execute("SELECT count(*) FROM answers").fetchone()
            base.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY day LIMIT ?)",
                (count // 2 + 1,),
            )

    def _turn_off(self, error: Exception) -> None:
        """Go on without the file; where it is broken, with a new one."""
        self._let_go()
        if _is_broken(error) and not self._was_broken:
            self._was_broken = str(error)
            try:
                _remove(self.path)
                self._base = self._open()
            except (sqlite3.Error, OSError) as another:
                error = another
            else:
                return
        self._off = (
            f"the answer cache {self.path} is not used: {error}. --sway-cache-clear recreates the file"
        )


def _remove(file: Path) -> None:
    """Remove a file that is no database, with the journal that would be rolled back into the next one."""
    file.unlink(missing_ok=True)
    file.with_name(f"{file.name}-journal").unlink(missing_ok=True)


def _is_broken(error: Exception) -> bool:
    """Whether the file is at fault; locked, read-only and full are not its fault."""
    return type(error) is sqlite3.DatabaseError


def _chunks(keys: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [keys[i : i + _CHUNK] for i in range(0, len(keys), _CHUNK)]


def _checksum(key: bytes, text: bytes) -> str:
    """8 hex digits over a key and its answer: a byte that changed on disk is no other answer."""
    return f"{zlib.crc32(key + text):08x}"


def _checked_text(key: bytes, value: Any) -> bytes | None:
    """An entry's JSON; None where its checksum is not that of its content."""
    checksum, _, text = value.partition(b" ") if isinstance(value, bytes) else (b"", b"", b"")
    return text if checksum == _checksum(key, text).encode() else None


def to_json(answer: Any) -> str:
    """An answer as JSON; empty where it is not one to keep."""
    if isinstance(answer, float) and math.isfinite(answer):
        return json.dumps(answer)
    if isinstance(answer, CompletionScore) and math.isfinite(answer.logprob):
        return json.dumps([answer.logprob, answer.tokens, answer.log_odds])
    if isinstance(answer, Generation):
        return json.dumps([answer.text, list(answer.ids)])
    return ""


def from_json(request: Request[Any], text: Any) -> Any:
    """The answer that ``text`` tells; None where it tells none of this request's kind."""
    try:
        value = json.loads(text)
        if isinstance(request, Divergence):
            return value if isinstance(value, float) and math.isfinite(value) else None
        if isinstance(request, Completion):
            return _completion_score(*value)
        first, second = value
        if isinstance(request, Generate) and isinstance(first, str) and all(map(_is_token, second)):
            return Generation(first, tuple(second))
    except (TypeError, ValueError, RecursionError):
        pass
    return None


def _is_token(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST_TOKENS


def _completion_score(logprob: Any, tokens: Any, log_odds: Any) -> CompletionScore | None:
    numbers = [logprob] if log_odds is None else [logprob, log_odds]
    if type(tokens) is int and tokens > 0 and all(isinstance(n, float) and math.isfinite(n) for n in numbers):
        return CompletionScore(logprob, tokens, log_odds)
    return None
