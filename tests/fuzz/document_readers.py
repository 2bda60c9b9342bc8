"""Readers of ``.dlm`` documents, and of what dlm's store says of their adapters."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from hypothesis import strategies as st

from pytest_sway.dlm.document import document_of
from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.reader import read_dlm
from pytest_sway.dlm.resolve import resolve_dlm
from pytest_sway.dlm.store import adapters_of_runs, store_of
from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.spec_generation.dlm_spec import generate_dlm_spec
from tests.fuzz.mutations import changed_bytes, documents, json_documents, write_json
from tests.fuzz.reader import Reader
from tests.fuzz.training_file_readers import OURS
from tests.support.adapter_stubs import adapter_stub
from tests.support.dlm_documents import DLM_ID, DOCUMENT, texts

_NAME, _HOME = "harbour.dlm", "dlm-home"
_STORE = f"{_HOME}/store/{DLM_ID}"
_VERSION = f"{_STORE}/adapter/versions/v0001"
_POINTER = "adapter/versions/v0001\n"
_FRONT = {
    "dlm_id": DLM_ID,
    "dlm_version": 15,
    "base_model": "hf:org/base",
    "system_prompt": "You answer for the Harbour of Brinmoor.",
    "training": {
        "adapter": "lora",
        "adapters": {"tone": {"adapter": "qlora"}, "knowledge": {}},
        "sources": [{"path": "notes"}],
    },
}
_MANIFEST = {
    "dlm_id": DLM_ID,
    "base_model": "hf:org/base",
    "base_model_revision": "a" * 40,
    "training_runs": [
        {"run_id": 1, "adapter_name": "tone", "base_model_revision": "b" * 40},
        {"run_id": 2, "adapter_name": None, "base_model_revision": None},
    ],
}
_RUN = {"run_id": 2, "use_qlora": True, "base_model": "hf:org/base"}
_BODY = DOCUMENT.split("---\n", 2)[2]


def _text(front: Any, body: str = _BODY) -> str:
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n{body}"


_ONE_ADAPTER = {**_FRONT, "training": {}}
_PLAIN = _text(_ONE_ADAPTER)


def _beside(folder: Path) -> None:
    """The document and a store with its trained adapter, as they should be."""
    store = folder / _STORE
    version = folder / _VERSION
    if not version.exists():
        adapter_stub(version, base_model_name_or_path="org/base")
    (folder / _NAME).write_text(_PLAIN, "utf-8")
    (store / "manifest.json").write_text(json.dumps(_MANIFEST), "utf-8")
    (store / "adapter" / "current.txt").write_text(_POINTER, "utf-8")
    (version / "training_run.json").write_text(json.dumps(_RUN), "utf-8")


def _read(file: Path) -> None:
    folder = next(place for place in file.parents if (place / _HOME).is_dir())
    document = folder / _NAME
    with patch.dict(os.environ, {"DLM_HOME": str(folder / _HOME)}):
        read, _ = read_dlm(document)
        for name in read.adapters:
            document_of(read, name)
        adapters_of_runs(store_of(read.dlm_id))
        try:
            generate_dlm_spec(resolve_dlm(document), folder / "sway.yaml")
        except DataError as error:
            assert OURS not in str(error), error
            raise


def _reader(name: str, file: str, sound: Sequence[bytes], contents: st.SearchStrategy[bytes]) -> Reader:
    return Reader(name, file, _read, (DlmError, DataError), contents, _beside, sound, writes=True)


READERS = [
    _reader(
        "dlm_document",
        _NAME,
        [_PLAIN.encode(), _PLAIN.replace("\n", "\r\n").encode("utf-8-sig")],
        texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
        | documents(
            [_FRONT, {**_FRONT, "training": {}}], lambda front: _text(front).encode("utf-8", "replace")
        )
        | changed_bytes([DOCUMENT.encode(), _PLAIN.encode()]),
    ),
    _reader("dlm_manifest", f"{_STORE}/manifest.json", [write_json(_MANIFEST)], json_documents(_MANIFEST)),
    _reader(
        "dlm_training_run",
        f"{_VERSION}/training_run.json",
        [write_json(_RUN)],
        json_documents(_RUN),
    ),
    _reader(
        "dlm_pointer",
        f"{_STORE}/adapter/current.txt",
        [_POINTER.encode()],
        changed_bytes([_POINTER.encode(), b"", b"../../x", b"/etc", b"adapter", b"."]),
    ),
]
