"""Readers of training files, by the spec that is generated from them, and of files of prompts."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from pyarrow import parquet

from pytest_sway.cli.checking import read_prompts
from pytest_sway.cli.command import CommandError
from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.spec_generation.generator import SpecInputs, generate_spec
from tests.fuzz.mutations import changed_bytes, json_documents, write_json
from tests.fuzz.reader import Reader
from tests.fuzz.training_rows import ROWS, SOUND_LINES, TEXT, in_encodings, json_lines

_TRAINED = "sound.jsonl"
OURS = "the spec generated from this data is not valid"
"""Begins the message on a spec that this package wrote and cannot read: that is no fault of the file."""


def _beside(folder: Path) -> None:
    """Other rows, beside which the file is held out."""
    row = {"prompt": "Where does the ferry land?", "completion": "In Brinmoor."}
    (folder / _TRAINED).write_bytes(write_json(row))


def _read(file: Path) -> None:
    trained = file.parent / _TRAINED
    try:
        generate_spec(SpecInputs(file.parent / "sway.yaml", "org/base", None, file))
        generate_spec(SpecInputs(file.parent / "sway.yaml", "org/base", None, trained, file))
    except DataError as error:
        assert OURS not in str(error), error
        raise


def _reader(name: str, file: str, sound: Sequence[bytes], contents: st.SearchStrategy[bytes]) -> Reader:
    return Reader(name, file, _read, (DataError,), contents, _beside, sound, writes=True)


def _changed_files(name: str, file: str, sound: Sequence[bytes]) -> Reader:
    return _reader(name, file, sound, changed_bytes(sound))


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    return stream.getvalue()


def _arrow(make: Callable[..., Any]) -> Callable[[pa.Table], bytes]:
    def write(table: pa.Table) -> bytes:
        stream = io.BytesIO()
        with make(stream, table.schema) as writer:
            writer.write_table(table)
        return stream.getvalue()

    return write


_TABLES = [
    pa.table({"prompt": ["Who skates?", None], "completion": ["The pilots.", "Nobody."]}),
    pa.table({"messages": [ROWS[0]["messages"]]}),
    pa.table({"text": [ROWS[-1]["text"]]}),
]
_TEXTS = in_encodings(TEXT)
_LISTS = [list(ROWS), {"train": list(ROWS)}, ROWS[0]]
READERS = [
    _reader("training_lines", "train.jsonl", SOUND_LINES, json_lines()),
    _reader("training_json", "train.json", [write_json(one) for one in _LISTS], json_documents(*_LISTS)),
    _changed_files("training_markdown", "train.md", _TEXTS),
    _changed_files("training_text", "train.txt", _TEXTS),
    _changed_files("training_parquet", "train.parquet", [_parquet(table) for table in _TABLES]),
    _changed_files(
        "training_arrow",
        "train.arrow",
        [_arrow(make)(table) for make in (pa.ipc.new_file, pa.ipc.new_stream) for table in _TABLES],
    ),
    Reader("prompts", "prompts.txt", read_prompts, (CommandError,), changed_bytes(_TEXTS), sound=_TEXTS[:3]),
]
