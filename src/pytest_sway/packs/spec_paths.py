"""Which fields of a spec are paths, and the spec's text with other paths in their place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

import yaml

from pytest_sway.packs.errors import PackError
from pytest_sway.probes.registry import kinds
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.path_lookup import is_folder
from pytest_sway.spec.problems import FieldPath
from pytest_sway.spec.yaml_source import compose
from pytest_sway.text.message_parts import describe, field_name

Role = Literal["base", "adapter", "file", "document", "other"]
_TOP_FILES: Mapping[str, Role] = {"sections": "file", "controls": "file", "dlm_source": "document"}
_OPTION_PATHS = ("adapter_path", "store_path", "adapters")
_REFUSED = {
    "trust_remote_code": "packs cannot run model code",
    "entry_point": "packs cannot contain code",
    "endpoint": "packs cannot use a server",
    "api_key": "packs cannot contain keys",
}
OUTSIDE_KINDS = ("gradient_ghost", "training_drift")
"""Kinds that read what training left beside an adapter."""
_ANCHOR = re.compile(r"(?:[&!]\S+\s+)+")
_VARIABLE = "${"


@dataclass(frozen=True)
class SpecPath:
    """A path that a spec names.

    Attributes:
        field: where it stands.
        written: as it stands there.
        role: ``base`` and ``adapter`` of the models; ``file`` and ``document``: what a pack holds a copy of;
            ``other``: folders that no pack holds.
    """

    field: FieldPath
    written: str
    role: Role


def spec_paths(value: Mapping[str, Any]) -> Iterator[SpecPath]:
    """Every path of a spec that is given as plain values, in their order."""
    for side in ("base", "ft"):
        model = _object(_object(value.get("models")).get(side))
        if isinstance(model.get("base"), str):
            yield SpecPath(("models", side, "base"), model["base"], "base")
        yield from _texts(("models", side, "adapter"), model.get("adapter"), "adapter")
        for name in ("tokenizer", "null_dir", "null_dir_server"):
            yield from _texts(("models", side, name), model.get(name), "other")
    template = _object(value.get("defaults")).get("chat_template")
    yield from _texts(("defaults", "chat_template"), template, "file")
    for name, role in _TOP_FILES.items():
        if isinstance(value.get(name), str):
            yield SpecPath((name,), value[name], role)
    suite = value.get("suite")
    for index, entry in enumerate(suite if isinstance(suite, list) else ()):
        for name in _OPTION_PATHS:
            yield from _texts(("suite", index, name), _object(entry).get(name), "other")
        embedder = _object(entry).get("embedding_model")
        if isinstance(embedder, str) and (HubName.of(embedder) is None or is_folder(Path(embedder))):
            yield SpecPath(("suite", index, "embedding_model"), embedder, "other")


def check_packable(value: Mapping[str, Any]) -> None:
    """Raise PackError for a spec that runs code, reaches a server or reads files that no pack holds."""
    for side in ("base", "ft"):
        model = _object(_object(value.get("models")).get(side))
        if model.get("kind", "hf") != "hf":
            raise PackError(f"models.{side}.kind is {describe(model['kind'])}, but packs support only hf")
        for name, reason in _REFUSED.items():
            if model.get(name):
                raise PackError(f"models.{side}.{name}: {reason}")
    suite = value.get("suite")
    for index, entry in enumerate(suite if isinstance(suite, list) else ()):
        kind = _object(entry).get("kind")
        if kind in OUTSIDE_KINDS:
            raise PackError(
                f"suite[{index}]: {kind} reads training files, which a pack cannot contain; remove this probe"
            )
        if not isinstance(kind, str) or kind not in kinds():
            raise PackError(f"suite[{index}].kind: {describe(kind)} is not a built-in kind of pytest-sway")


def variable_fields(value: Mapping[str, Any]) -> Iterator[tuple[FieldPath, str]]:
    """Texts with ``${NAME}`` in fields that expand it, those of paths left out."""
    paths = {path.field for path in spec_paths(value)}
    found = [*_strings(("models",), value.get("models"))]
    suite = value.get("suite")
    for index, entry in enumerate(suite if isinstance(suite, list) else ()):
        found += _strings(("suite", index, "embedding_model"), _object(entry).get("embedding_model"))
    yield from ((field, text) for field, text in found if _VARIABLE in text and field not in paths)


def _strings(field: FieldPath, value: Any) -> Iterator[tuple[FieldPath, str]]:
    """Every text below a field."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _strings((*field, str(name)), one)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _strings((*field, index), one)


def check_inside(path: SpecPath) -> None:
    """Raise PackError for a path that leads out of the folder of its spec."""
    written = path.written
    parts = PurePosixPath(written).parts
    leads_out = (
        PurePosixPath(written).is_absolute()
        or PureWindowsPath(written).drive
        or "\\" in written
        or ".." in parts
        or written.startswith("~")
        or any(mark in written for mark in ("$", "\0", "*", "?", "["))
    )
    if leads_out or path.role == "other":
        raise PackError(f"{field_name(path.field)} refers to {describe(written)}, which is not in the pack")


def with_replaced(text: str, replaced: Mapping[FieldPath, str]) -> str:
    """The spec's text with other scalars at some fields; comments and everything else stay."""
    root = compose(text)
    edits = {}
    for field, new in replaced.items():
        node = _node(root, field)
        if isinstance(node, yaml.ScalarNode):
            begin, end = node.start_mark.index, node.end_mark.index
            anchor = _ANCHOR.match(text, begin, end)
            line_end = "\n" if text[begin:end].endswith("\n") else ""  # of a text in a block
            edits[anchor.end() if anchor else begin, end] = json.dumps(new, ensure_ascii=False) + line_end
    for (begin, end), new in sorted(edits.items(), reverse=True):
        text = text[:begin] + new + text[end:]
    return text


def _node(node: yaml.Node | None, field: FieldPath) -> yaml.Node | None:
    for part in field:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return None
    return node


def _texts(field: FieldPath, value: Any, role: Role) -> Iterator[SpecPath]:
    """A text, or the texts of a list."""
    if isinstance(value, str):
        yield SpecPath(field, value, role)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            if isinstance(one, str):
                yield SpecPath((*field, index), one, role)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
