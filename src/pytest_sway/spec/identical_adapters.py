"""Adapter folders that hold the same adapter. Standard library only."""

from __future__ import annotations

import filecmp
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pytest_sway.regular_files import open_regular, read_regular
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS

_ADAPTER_FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)
_END_BYTES = 1 << 16
"""Bytes of each end of a file."""


class IdenticalAdapters(NamedTuple):
    """Two folders with the same adapter.

    Attributes:
        first, second: the folders, in the order in which they were named.
        every_file: whether all other files are the same too (a tokenizer, what training left), so that
            nothing that a probe reads differs.
    """

    first: Path
    second: Path
    every_file: bool


def identical_adapters(folders: Iterable[Path]) -> list[IdenticalAdapters]:
    """Folders whose config and weights equal, byte for byte, those of an earlier one.

    The ends of a file are compared first, so that only files that are alike there are read completely.
    """
    earlier: dict[str, list[Path]] = {}
    pairs: list[IdenticalAdapters] = []
    for folder in folders:
        try:
            alike = earlier.setdefault(_digest_of_ends(folder), [])
            first = next((one for one in alike if _equal_files(one, folder, _ADAPTER_FILES)), None)
            if first is not None:
                pairs.append(IdenticalAdapters(first, folder, _all_equal(first, folder)))
            else:
                alike.append(folder)
        except OSError:  # what cannot be read is compared with nothing
            continue
    return pairs


def _digest_of_ends(folder: Path) -> str:
    """A digest of the config and of both ends of the weights."""
    digest = hashlib.sha256(read_regular(folder / ADAPTER_CONFIG))
    with open_regular(folder / ADAPTER_WEIGHTS) as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(str(size).encode())
        for start in (0, max(0, size - _END_BYTES)):
            file.seek(start)
            digest.update(file.read(_END_BYTES))
    return digest.hexdigest()


def _equal_files(one: Path, other: Path, names: Iterable[str]) -> bool:
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)


def _all_equal(one: Path, other: Path) -> bool:
    """Whether both folders hold the same files and subfolders, and every file is the same."""
    entries = [{entry.name: entry.is_dir() for entry in os.scandir(folder)} for folder in (one, other)]
    if entries[0] != entries[1] or any(entries[0].values()):
        return False
    return _equal_files(one, other, entries[0])
