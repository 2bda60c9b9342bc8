"""Rows of Arrow and Parquet files, and of the folders that ``datasets`` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_sway.spec_generation.data_error import DataError

ARROW_SUFFIXES = (".parquet", ".arrow")
SPLITS = (("train",), ("test", "validation", "eval", "dev"))
"""Names of the split that is trained on, and of those that are held out."""


def read_dataset_folder(folder: Path, *, held_out: bool = False) -> Iterator[dict[str, Any]]:
    """Rows of a data set's split: ``train``, or with ``held_out`` the first of test, validation, eval.

    ``save_to_disk`` writes ``data-….arrow``, into a folder per split where there are several; the hub has
    ``train-….parquet``, here or below ``data``. A data set without splits is read whole.

    Raises:
        DataError: the folder holds none, or another split alone.
    """
    for file in _files_of_split(folder, SPLITS[held_out]):
        yield from read_arrow(file)


def _files_of_split(folder: Path, wanted: tuple[str, ...]) -> list[Path]:
    for place in (folder, folder / "data"):
        for name in wanted:
            below = _arrow_files(place / name) if (place / name).is_dir() else []
            if below or (below := [file for file in _arrow_files(place) if file.name.startswith(f"{name}-")]):
                return below
    own = _arrow_files(folder)
    known = {name for names in SPLITS for name in names}
    named = [file for file in own if re.split(r"[-.]", file.name)[0] in known]
    if own and not named:
        return own
    held = sorted({entry.name for entry in folder.iterdir()})[:8]
    raise DataError(
        f"{folder} has no Arrow or Parquet files of a split named {' or '.join(wanted)}; it contains "
        f"{', '.join(held) or 'nothing'}"
    )


def _arrow_files(folder: Path) -> list[Path]:
    return (
        sorted(file for file in folder.iterdir() if file.suffix in ARROW_SUFFIXES) if folder.is_dir() else []
    )


def read_arrow(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of one file, without the columns that are null in them.

    Raises:
        DataError: pyarrow is missing, or cannot read the file.
    """
    try:
        import pyarrow as pa
        from pyarrow import ipc, parquet
    except ImportError:
        raise DataError(
            f'{file}: reading {file.suffix} files needs pyarrow; run pip install "pytest-sway[data]"'
        ) from None
    try:
        if file.suffix == ".parquet":
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=1024):
                yield from _rows(batch)
            return
        with pa.memory_map(str(file)) as source:
            for batch in _record_batches(ipc, source):
                yield from _rows(batch)
    # a time or a text that Python cannot hold, an unknown time zone
    except (pa.ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        raise DataError(f"{file} cannot be read: {' '.join(str(error).split())}") from error


def _record_batches(ipc: Any, source: Any) -> Iterator[Any]:
    """Batches of Arrow's stream format, which ``datasets`` writes, or of its file format."""
    if source.read(6) == b"ARROW1":
        source.seek(0)
        reader = ipc.open_file(source)
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        source.seek(0)
        yield from ipc.open_stream(source)


def _rows(batch: Any) -> Iterator[Any]:
    """The rows of a batch, whose offsets are checked first: wrong ones make Arrow read beyond its memory."""
    batch.validate(full=True)
    yield from map(_without_nulls, batch.to_pylist())


def _without_nulls(value: Any) -> Any:
    """A row as it was before every row had every column."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
