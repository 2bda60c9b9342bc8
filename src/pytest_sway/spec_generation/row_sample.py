"""Rows of a training file that a spec may show: readable, each once, a sample by a seed."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pytest_sway.document import QA
from pytest_sway.requests import Turn
from pytest_sway.spec.row_forms import Taught, ToolExample, taught
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
    """

    location: str
    section: str
    taught: Taught


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
        keys: of all distinct rows.
        shortened_count: texts of the sample that were cut.
    """

    examples: tuple[Example, ...]
    total: int
    distinct: int
    unreadable: tuple[str, ...]
    unreadable_count: int
    shared: tuple[str, ...]
    keys: Collection[bytes]
    shortened_count: int


def sample_rows(rows: Iterable[DataRow], most: int, seed: int, other: Collection[bytes] = ()) -> RowSample:
    """At most ``most`` of the rows that can be asked.

    Kept are the rows of which a hash of seed and content is smallest: a uniform sample that neither the
    order nor the repeats of a file change.

    Args:
        rows: in the order of the file.
        most: size of the sample.
        seed: another one is another sample.
        other: keys of rows that are left out.
    """
    kept: list[tuple[int, int, Example]] = []
    keys: set[bytes] = set()
    unreadable, shared, total, failed = list[str](), list[str](), 0, 0
    for total, row in enumerate(rows, start=1):
        try:
            example = _example(row)
        except RowError as error:
            failed += 1
            if len(unreadable) < _MOST_NAMED:
                unreadable.append(f"{row.location}: {error}")
            continue
        key = row_key(example.taught)
        if key in other:
            shared.append(row.location)
        elif key not in keys:
            keys.add(key)
            _keep(kept, most, _priority(key, seed), total, example)
    examples = [example for _, _, example in sorted(kept, key=lambda one: one[1])]
    cut = [_cut(example) for example in examples]
    return RowSample(
        tuple(cut),
        total,
        len(keys),
        tuple(unreadable),
        failed,
        tuple(shared),
        keys,
        sum(before != after for before, after in zip(examples, cut, strict=True)),
    )


def row_key(found: Taught) -> bytes:
    """The same for rows that teach the same, whatever their white space and case."""
    text = "\0".join(" ".join(part.split()).casefold() for part in _texts(found))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _priority(key: bytes, seed: int) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8, key=str(seed).encode()).digest())


def _keep(kept: list[tuple[int, int, Example]], most: int, priority: int, at: int, example: Example) -> None:
    """Keep the ``most`` smallest priorities; the heap's first is the largest of them."""
    entry = (-priority, at, example)
    if len(kept) < most:
        heapq.heappush(kept, entry)
    elif entry > kept[0]:
        heapq.heapreplace(kept, entry)


def _example(row: DataRow) -> Example:
    value: Any = {"text": row.value} if isinstance(row.value, str) else row.value
    if not isinstance(value, dict):
        raise RowError(f"found {describe(value)}, expected a row with named fields")
    found = taught(value)
    if not isinstance(found, str) and sum(map(len, _texts(found))) > MOST_ROW_CHARS:
        raise RowError(f"longer than {MOST_ROW_CHARS:,} characters")
    section = value.get("section")
    return Example(row.location, section if isinstance(section, str) else "", found)


def _cut(example: Example) -> Example:
    if not isinstance(example.taught, str):
        return example
    return Example(example.location, example.section, shortened(example.taught, MOST_CHARS))


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
