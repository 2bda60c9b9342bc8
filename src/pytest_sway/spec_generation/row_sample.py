"""Rows of a training file that a spec may show: readable, each once, a sample by a seed."""

from __future__ import annotations

import hashlib
import heapq
import unicodedata
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from typing import Any

from pytest_sway.document import QA
from pytest_sway.requests import Turn
from pytest_sway.spec.row_forms import Taught, ToolExample, taught, trained_exchanges
from pytest_sway.spec.row_turns import RowError
from pytest_sway.spec_generation.data_rows import DataRow
from pytest_sway.spec_generation.passages import MOST_CHARS, shortened
from pytest_sway.text.message_parts import describe

MOST_ROW_CHARS = 16_000
"""A longer dialogue is left out: cut, it would be another one."""
_MOST_NAMED = 5


@dataclass(frozen=True)
class Example:
    """A row of the sample.

    Attributes:
        location: where it stands, as ``line 7``.
        section: the section that it names; empty without.
        taught: what it teaches; texts are at most :data:`MOST_CHARS` long.
        exchanges: keys of its questions with their trained answers.
    """

    location: str
    section: str
    taught: Taught
    exchanges: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class RowSample:
    """The sample, and what became of the other rows.

    Attributes:
        examples: in the order of the file.
        total: rows of the file.
        distinct: rows that can be asked, each once.
        unreadable: the first rows that cannot be asked, each with its location and the reason.
        unreadable_count: how many there are.
        shared: locations of rows that the other file has too.
        keys: of every question with a trained answer, in all rows.
        shortened_count: texts of the sample that were cut.
    """

    examples: tuple[Example, ...]
    total: int
    distinct: int
    unreadable: tuple[str, ...]
    unreadable_count: int
    shared: tuple[str, ...]
    keys: Set[bytes]
    shortened_count: int


def sample_rows(
    rows: Iterable[DataRow],
    most: int,
    seed: int,
    other: Set[bytes] = frozenset(),
    longest: int = MOST_ROW_CHARS,
) -> RowSample:
    """At most ``most`` of the rows that can be asked.

    Kept are the rows of which a hash of seed and content is smallest: a uniform sample that neither the
    order nor the repeats of a file change.

    Args:
        rows: in the order of the file.
        most: size of the sample.
        seed: another one is another sample.
        other: keys of exchanges whose rows are left out.
        longest: characters of a dialogue; a longer one is left out.
    """
    kept: list[tuple[int, int, Example]] = []
    keys, seen = set[bytes](), set[bytes]()
    unreadable, shared, total, failed = list[str](), list[str](), 0, 0
    for total, row in enumerate(rows, start=1):
        try:
            example = _example(row, longest)
        except RowError as error:
            failed += 1
            if len(unreadable) < _MOST_NAMED:
                unreadable.append(f"{row.location}: {error}")
            continue
        key = row_key(example.taught)
        if example.exchanges & other:
            shared.append(row.location)
        elif key not in seen:
            seen.add(key)
            keys |= example.exchanges
            _keep(kept, most, _priority(key, seed), total, example)
    examples = [example for _, _, example in sorted(kept, key=lambda one: one[1])]
    cut = [_cut(example) for example in examples]
    return RowSample(
        tuple(cut),
        total,
        len(seen),
        tuple(unreadable),
        failed,
        tuple(shared),
        keys,
        sum(isinstance(one.taught, str) and len(one.taught.strip()) > MOST_CHARS for one in examples),
    )


def row_key(found: Taught) -> bytes:
    """The same for rows that teach the same, whatever their white space, case and way of writing accents."""
    return _key(_texts(found))


def _key(texts: Iterable[str]) -> bytes:
    parts = (" ".join(unicodedata.normalize("NFKC", part).split()).casefold() for part in texts)
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=12).digest()


def _priority(key: bytes, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8, key=str(seed).encode()).digest())


def _keep(kept: list[tuple[int, int, Example]], most: int, priority: int, at: int, example: Example) -> None:
    """Keep the ``most`` smallest priorities; the heap's first is the largest of them."""
    entry = (-priority, at, example)
    if len(kept) < most:
        heapq.heappush(kept, entry)
    elif entry > kept[0]:
        heapq.heapreplace(kept, entry)


def _example(row: DataRow, longest: int) -> Example:
    value: Any = {"text": row.value} if isinstance(row.value, str) else row.value
    if not isinstance(value, dict):
        raise RowError(f"found {describe(value)}, expected a row with named fields")
    found = taught(value)
    if not isinstance(found, str) and sum(map(len, _texts(found))) > longest:
        raise RowError(f"longer than {longest:,} characters")
    section = value.get("section")
    exchanges = frozenset(map(_key, trained_exchanges(value)))
    return Example(row.location, section if isinstance(section, str) else "", found, exchanges)


def _cut(example: Example) -> Example:
    if not isinstance(example.taught, str):
        return example
    return replace(example, taught=shortened(example.taught, MOST_CHARS))


def _texts(found: Taught) -> Iterator[str]:
    if isinstance(found, str):
        yield found
        return
    if isinstance(found, ToolExample):
        yield from (found.system, found.prompt, found.call.name, repr(found.call.arguments))
        return
    yield from _turn_texts(found.context)
    yield found.prompt
    yield from (found.gold,) if isinstance(found, QA) else (found.chosen, found.rejected)


def _turn_texts(turns: tuple[Turn, ...]) -> Iterator[str]:
    for turn in turns:
        yield from (turn.role, turn.content)
