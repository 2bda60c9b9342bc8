"""What goes into a pack: the spec with paths of its own, what it names, answers and result."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pytest_sway.backends.hf.model_files import MODEL_FILES, files_digest
from pytest_sway.items.suite import Suite
from pytest_sway.packs.archive_writing import archive_bytes
from pytest_sway.packs.errors import PackError
from pytest_sway.packs.manifest import Manifest, PackedBase
from pytest_sway.packs.member_names import (
    ADAPTER,
    BASE,
    FILE_SUFFIXES,
    FILES,
    MANIFEST,
    SOURCE,
    SPEC,
    largest_size,
)
from pytest_sway.packs.spec_paths import (
    SpecPath,
    check_inside,
    check_packable,
    spec_paths,
    variable_fields,
    with_replaced,
)
from pytest_sway.regular_files import read_regular
from pytest_sway.reports.json_report import json_text
from pytest_sway.spec.encoding import decode
from pytest_sway.spec.environment_variables import expand
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.path_lookup import find_path
from pytest_sway.spec.problems import FieldPath
from pytest_sway.spec.yaml_source import read_spec
from pytest_sway.text.message_parts import describe, field_name
from pytest_sway.version import __version__

_CHAT_TEMPLATE = ".jinja"
"""Of the files that a spec names, the others are of a suffix that is known."""
_TIMES = ("started_at", "finished_at")
_DURATIONS = ("wall_seconds", "duration_s", "scoring_wall_s")
_LATEST = 1 << 32
_MOST_MEMBER_BYTES = 1 << 30
"""Seconds since 1970 that an archive can hold."""


@dataclass
class Pack:
    """A pack that is being made.

    Attributes:
        members: contents by name.
        base: folder of the base model; None for one on the hub.
        adapter: its folder; None for one on the hub.
        manifest: what it says of itself, but for its members.
        moment: of the newest file that went in, or ``SOURCE_DATE_EPOCH``; seconds since 1970.
    """

    members: dict[str, bytes]
    base: Path | None
    adapter: Path | None
    manifest: Manifest
    moment: int = 0

    def archive(self) -> bytes:
        """The whole pack, its manifest with it."""
        manifest = replace(
            self.manifest,
            packed_at=_iso(self.moment),
            sizes={name: len(content) for name, content in self.members.items()},
            digests={name: hashlib.sha256(content).hexdigest() for name, content in self.members.items()},
        )
        return archive_bytes({**self.members, MANIFEST: manifest.to_json().encode()}, self.moment)


def begin_pack(spec: Path, suite: Suite, *, include_adapter: bool) -> Pack:
    """The spec and the files that it names.

    Raises:
        PackError: it names what a pack cannot hold, or evaluates several adapters.
    """
    source = read_spec(spec)
    check_packable(source.value)
    if len(suite.adapters) != 1 or suite.spec.model is not None:
        raise PackError(
            f"{spec.name}: a pack contains exactly one adapter; set models.ft.adapter to one folder"
        )
    key, model = suite.adapters[0], suite.model
    base = Path(model.base) if Path(model.base).is_dir() else None
    adapter = Path(key.path) if key.path is not None and Path(key.path).is_dir() else None
    manifest = Manifest(
        __version__,
        "",
        SPEC,
        base=PackedBase("" if base else model.base, files_digest(base, MODEL_FILES) if base else ""),
        adapter_digest=folder_digest(adapter) if adapter else "",
    )
    pack, replaced, named = Pack({}, base, adapter, manifest), dict[FieldPath, str](), [spec]
    for path in spec_paths(source.value):
        taken = _pack_path(pack, path, source.roots)
        replaced[path.field] = taken.name
        named += taken.files
    for place, written in variable_fields(source.value):
        replaced[place] = _expanded(place, written)
    text = with_replaced(decode(spec, read_regular(spec)), replaced)
    pack.members[SPEC] = text.encode()
    _check_written(spec, text)
    if include_adapter:
        named += _pack_adapter(pack)
    pack.moment = _moment(named)
    return pack


def folder_digest(folder: Path) -> str:
    """32 hex digits over what an adapter's folder holds of weights, config and tokenizer."""
    return files_digest(folder, ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"))


def golden_text(result: Mapping[str, Any], places: Mapping[str, str], moment: int) -> str:
    """A result with the pack's own time for every time.

    Args:
        result: as JSON.
        places: paths of this machine, each with what stands for it; a longer one is looked for first.
        moment: seconds since 1970.
    """
    by_length = sorted(places.items(), key=lambda place: -len(place[0]))

    def plain(value: Any, name: str = "") -> Any:
        if name in _TIMES:
            return _iso(moment)
        if name in _DURATIONS:
            return 0.0
        if isinstance(value, Mapping):
            return {key: plain(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        if isinstance(value, str):
            for path, name in by_length:
                value = value.replace(path, name)
        return value

    return json_text(plain(result))


class _Taken(NamedTuple):
    """What stands for a path in a pack, and the files that were read for it."""

    name: str
    files: tuple[Path, ...] = ()


def _pack_path(pack: Pack, path: SpecPath, roots: Sequence[Path]) -> _Taken:
    """Take what a path of the spec names into the pack."""
    written = _expanded(path.field, path.written)
    found = find_path(written, roots)
    if path.role in (BASE, ADAPTER):
        if not found.is_dir() and (path.role == ADAPTER or HubName.of(written) is None):
            raise PackError(f"{field_name(path.field)}: folder {found} does not exist")
        return _Taken(f"./{path.role}" if found.is_dir() else written)
    if path.role == "other":
        raise PackError(
            f"{field_name(path.field)} refers to {path.written!r}, which a pack cannot contain; "
            "remove this field"
        )
    if not found.is_file():
        raise PackError(f"{field_name(path.field)}: file {found} does not exist")
    name = SOURCE if path.role == "document" else f"{FILES}/{_member_name(found, pack.members)}"
    pack.members[name] = read_regular(found, _MOST_MEMBER_BYTES)
    return _Taken(name, (found,))


def _expanded(field: FieldPath, written: str) -> str:
    try:
        return expand(written)
    except ValueError as error:
        raise PackError(f"{field_name(field)}: {error}") from None


def _member_name(path: Path, taken: Mapping[str, bytes]) -> str:
    stem = re.sub(r"[^\w.-]+", "_", path.stem, flags=re.ASCII).strip("._-") or "file"
    suffix = path.suffix if path.suffix in FILE_SUFFIXES else _CHAT_TEMPLATE
    number, name = 1, f"{stem}{suffix}"
    while f"{FILES}/{name}".casefold() in {one.casefold() for one in taken}:
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name


def _pack_adapter(pack: Pack) -> list[Path]:
    if pack.adapter is None:
        raise PackError("--include-adapter cannot be used, because the adapter is not in a local folder")
    found = sorted(pack.adapter.iterdir())
    files = [path for path in found if path.is_file() and largest_size(f"{ADAPTER}/{path.name}")]
    for path in files:
        pack.members[f"{ADAPTER}/{path.name}"] = read_regular(path, _MOST_MEMBER_BYTES)
    return files


def _check_written(spec: Path, text: str) -> None:
    """Raise PackError where a path of the spec was not replaced, as where YAML merges it in."""
    with tempfile.TemporaryDirectory(prefix="sway-spec-") as folder:
        written = Path(folder) / SPEC
        written.write_text(text, "utf-8")
        paths = list(spec_paths(read_spec(written).value))
    for path in paths:
        if not (path.role in (BASE, ADAPTER) and HubName.of(path.written) is not None):
            try:
                check_inside(path)
            except PackError as error:
                raise PackError(
                    f"{spec.name}: {error}; write the path in this field, without a YAML merge (<<)"
                ) from None


def _moment(files: Sequence[Path]) -> int:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch and not (epoch.isdecimal() and int(epoch) < _LATEST):
        raise PackError(f"SOURCE_DATE_EPOCH is {describe(epoch)}, expected seconds since 1970")
    newest = int(epoch) if epoch else int(max(path.stat().st_mtime for path in files))
    return min(max(newest, 0), _LATEST - 1)


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
