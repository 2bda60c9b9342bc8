"""Readers of specs, of the files that they name, and of the environment variables in them."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st

from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.spec.parser import parse
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.yaml_source import read_spec
from pytest_sway.user_error import escape_steering
from tests.fuzz import spec_documents
from tests.fuzz.mutations import changed_bytes, json_documents, write_json, write_yaml, yaml_documents
from tests.fuzz.reader import Reader
from tests.fuzz.training_rows import SOUND_LINES, json_lines
from tests.support.adapter_stubs import adapter_stub
from tests.support.dlm_documents import DOCUMENT

_SECTIONS, _CONTROLS = spec_documents.SECTIONS, spec_documents.CONTROLS
_YAML, _JSON = [write_yaml(_SECTIONS)], [write_json({"sections": _SECTIONS})]
_VARIABLE = "SWAY_FUZZED"
_DEFAULTS_OF_VARIABLE = {"chat_template": f"${{{_VARIABLE}:-./chat.jinja}}", "profile": f"${{{_VARIABLE}}}"}


def _write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")


def _beside_spec(folder: Path) -> None:
    """The files that the sound specs name; written once for a folder."""
    if (folder / "a").exists():
        return
    for name in ("a", "adapters/b", "adapters/c"):
        adapter_stub(folder / name)
    (folder / "base").mkdir()
    _write(folder, "chat.jinja", "{{ messages }}")
    _write(folder, "harbour.dlm", DOCUMENT)
    _write(folder, "sections.yaml", _SECTIONS)
    _write(folder, "controls.yaml", _CONTROLS)


def read_suite(file: Path) -> Suite:
    """The suite with all that collection asks of it."""
    suite = load_suite(file)
    notes = [note.message for note in suite.warnings]
    for adapter in suite.adapters:
        assert suite.adapter_labels[adapter]
        notes += suite.notes_on(adapter)
        for one in suite.entries:
            one.probe.with_context(suite.probe_context(adapter))
    notes += suite.left_out_labels.values()
    assert all(escape_steering(note) == note for note in notes), notes
    return suite


def _beside_named_file(folder: Path, **named: str) -> None:
    side = {"kind": "dummy", "base": "m"}
    suite = [{"name": "s", "kind": "section_internalization"}]
    _write(folder, "sway.yaml", {"models": {"base": side, "ft": side}, "suite": suite, **named})


def _read_named_file(file: Path) -> None:
    source = read_spec(file.parent / "sway.yaml")
    _, problems = parse(source)
    if problems:
        raise SpecError(source.path, problems)


def _named_file(
    name: str, file: str, key: str, sound: Sequence[bytes], contents: st.SearchStrategy[bytes]
) -> Reader:
    beside = functools.partial(_beside_named_file, **{key: file})
    return Reader(name, file, _read_named_file, (SpecError,), contents, beside, sound)


def _beside_variable(folder: Path) -> None:
    value = f"${{{_VARIABLE}}}"
    ft = {
        "kind": "api",
        "base": f"org/{value}",
        **dict.fromkeys(("adapter", "device", "revision", "entry_point", "endpoint", "api_key"), value),
        **dict.fromkeys(("tokenizer", "null_dir", "null_dir_server", "dtype", "quantization"), value),
    }
    suite = [{**spec_documents.entry("cluster_kl"), "embedding_model": value}]
    models = {"base": {"kind": value, "base": value}, "ft": ft}
    _write(folder, "sway.yaml", {"models": models, "suite": suite, "sections": value, "dlm_source": value})
    defaults = _DEFAULTS_OF_VARIABLE
    _write(folder, "one.yaml", {"models": {"base": ft, "ft": {**ft, "dtype": "auto"}}, "defaults": defaults})


def _read_variable(file: Path) -> None:
    value = file.read_bytes().replace(b"\0", b"").decode("utf-8", "surrogateescape")
    with patch.dict(os.environ, {_VARIABLE: value}):
        refused = []
        for name in ("sway.yaml", "one.yaml"):
            try:
                read_suite(file.parent / name)
            except SpecError as error:
                refused.append(error)
        if refused:
            raise refused[0]


_VALUES = [
    b"hf",
    b"auto",
    b"./a",
    b"org/name",
    b"http://127.0.0.1:1/v1",
    b"~root/x",
    b"~nobody-there",
    b"*/[",
    b"${A}",
]
READERS = [
    Reader(
        "spec",
        "sway.yaml",
        read_suite,
        (SpecError,),
        yaml_documents(*spec_documents.documents()),
        _beside_spec,
        [write_yaml(document) for document in spec_documents.documents()],
    ),
    _named_file("sections_yaml", "sections.yaml", "sections", _YAML, yaml_documents(_SECTIONS)),
    _named_file("sections_json", "sections.json", "sections", _JSON, json_documents(_SECTIONS)),
    _named_file("sections_rows", "rows.jsonl", "sections", SOUND_LINES, json_lines()),
    _named_file("controls", "controls.yaml", "controls", [write_yaml(_CONTROLS)], yaml_documents(_CONTROLS)),
    Reader(
        "environment_variable",
        "value.txt",
        _read_variable,
        (SpecError,),
        changed_bytes(_VALUES) | st.sampled_from(_VALUES),
        _beside_variable,
    ),
]  # fmt: skip
