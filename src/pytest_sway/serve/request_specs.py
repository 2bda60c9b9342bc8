"""Specs that come in a request: checked, and with absolute paths, before the worker reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.reader import read_dlm
from pytest_sway.packs.spec_paths import OUTSIDE_KINDS, SpecPath, spec_paths, variable_fields
from pytest_sway.probes.registry import kinds
from pytest_sway.requests import DEFAULT_EMBEDDER
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.path_lookup import find_path, is_file, is_folder
from pytest_sway.spec.problems import FieldPath
from pytest_sway.text.message_parts import describe, field_name
from pytest_sway.user_error import UserError

MOST_DEPTH = 40
MOST_VALUES = 100_000
_REFUSED = {
    "trust_remote_code": "requests cannot run model code",
    "entry_point": "requests cannot run code",
    "endpoint": "requests cannot use another server",
    "api_key": "requests cannot contain the API key of another server",
    "null_dir": "requests cannot write to a folder",
    "null_dir_server": "requests cannot write to a folder",
}
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_MOST_FILES = 10_000
_KINDS = ("hf", "gguf", "mlx")
_NO_FILE = "no such file or folder exists inside the allowed folders (--allow-path)"
_NO_HUB = "this server does not allow Hub names (--allow-hub)"


class RequestSpecError(UserError):
    """A spec that is not run; the message names the field and what to write instead."""


@dataclass(frozen=True)
class Allowed:
    """What a request may name.

    Attributes:
        roots: folders below which files and models may be.
        hub: whether models may be named on the hub.
    """

    roots: tuple[Path, ...]
    hub: bool = False


def spec_text(spec: object, folder: Path, allowed: Allowed, seed: int | None = None) -> str:
    """The spec as YAML, with absolute paths.

    Args:
        spec: as JSON.
        folder: where its relative paths begin.
        allowed: what it may name.
        seed: of ``defaults``, where the request names one.

    Raises:
        RequestSpecError: it is no spec that a request may run.
    """
    if not isinstance(spec, dict):
        raise RequestSpecError(
            f"spec: found {describe(spec)}, expected an object with the fields of a sway.yaml"
        )
    _check_size(spec)
    _check_models(spec)
    _check_suite(spec.get("suite"), allowed)
    if variable := next(variable_fields(spec), None):
        raise RequestSpecError(f"{field_name(variable[0])}: requests cannot use environment variables")
    reads_beside = _reads_beside(spec)
    changed = {
        path.field: _resolved(path, folder, allowed, reads_beside=reads_beside) for path in spec_paths(spec)
    }
    for field, text in changed.items():
        _set(spec, field, text)
    if seed is not None:
        defaults = spec.get("defaults") or {}
        if not isinstance(defaults, dict):
            raise RequestSpecError(f"defaults: found {describe(defaults)}, expected an object")
        spec["defaults"] = {**defaults, "seed": seed}
    return yaml.dump(spec, Dumper=_DUMPER, sort_keys=False, allow_unicode=True)


def _check_size(spec: Mapping[str, Any]) -> None:
    count, level = 0, [spec]
    for _ in range(MOST_DEPTH):
        level = [child for one in level for child in _children(one)]
        count += len(level)
        if count > MOST_VALUES:
            raise RequestSpecError(f"spec: more than {MOST_VALUES:,} values")
        if not level:
            break
    else:
        raise RequestSpecError(f"spec: nested deeper than {MOST_DEPTH}")
    try:
        json.dumps(spec, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RequestSpecError(
            "spec: a string contains a lone surrogate, which cannot be encoded as UTF-8"
        ) from None


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_models(spec: Mapping[str, Any]) -> None:
    models = spec.get("models")
    for side in ("base", "ft"):
        model = models.get(side) if isinstance(models, dict) else None
        if not isinstance(model, dict):
            continue
        if isinstance(model.get("adapter"), list) and len(model["adapter"]) != 1:
            raise RequestSpecError(
                f"models.{side}.adapter: a run evaluates one adapter; send one request for each adapter"
            )
        kind = model.get("kind", "hf")
        if kind not in _KINDS:
            raise RequestSpecError(
                f"models.{side}.kind: found {describe(kind)}; sway serve supports {', '.join(_KINDS)}"
            )
        for name, reason in _REFUSED.items():
            if model.get(name):
                raise RequestSpecError(f"models.{side}.{name}: {reason}; remove it")


def _check_suite(suite: object, allowed: Allowed) -> None:
    for index, entry in enumerate(suite if isinstance(suite, list) else ()):
        if not isinstance(entry, dict):
            continue
        kind, embedder = entry.get("kind"), entry.get("embedding_model")
        if isinstance(kind, str) and kind not in kinds():
            raise RequestSpecError(
                f"suite[{index}].kind: {describe(kind)} is not a built-in kind of pytest-sway"
            )
        on_hub = isinstance(embedder, str) and embedder != DEFAULT_EMBEDDER and HubName.of(embedder)
        if on_hub and not allowed.hub:
            raise RequestSpecError(f"suite[{index}].embedding_model: {_NO_HUB}")


def _reads_beside(spec: Mapping[str, Any]) -> bool:
    """Whether a probe reads the folder that an adapter is in."""
    suite = spec.get("suite")
    entries = suite if isinstance(suite, list) else ()
    return any(isinstance(entry, dict) and entry.get("kind") in OUTSIDE_KINDS for entry in entries)


def _resolved(path: SpecPath, folder: Path, allowed: Allowed, *, reads_beside: bool) -> str:
    """The absolute path, or the name on the hub.

    A missing file and one outside the roots get one message: an answer does not say which files exist.
    """
    field, written = field_name(path.field), path.written
    if any(mark in written for mark in ("*", "?", "[", "$", "\0")):
        raise RequestSpecError(
            f"{field}: found {describe(written)}; requests cannot use patterns or variables, so write the "
            "path in full"
        )
    found = find_path(written, (folder,))
    if not _is_served(found, allowed.roots):
        is_hub_name = path.role == "base" and HubName.of(written) is not None
        if is_hub_name and allowed.hub and not _is_there(found) and not _is_there(Path(written)):
            return written
        no_hub = f"; {_NO_HUB}" if is_hub_name and not allowed.hub else ""
        raise RequestSpecError(f"{field}: {_NO_FILE}{no_hub}")
    if reads_beside and path.role in ("adapter", "other") and not _is_below(found.parent, allowed.roots):
        raise RequestSpecError(
            f"{field}: {' and '.join(OUTSIDE_KINDS)} read the parent folder of this path, which is "
            "not inside an allowed folder (--allow-path)"
        )
    if path.role == "document":
        _check_document(field, found)
    return str(found)


def _is_there(path: Path) -> bool:
    return is_folder(path) or is_file(path)


def _is_served(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a path is there and, with everything below it, below a folder that is allowed."""
    return _is_there(path) and all(_is_below(one, roots) for one in _files_of(path))


def _check_document(field: str, path: Path) -> None:
    """A document may not name further files: dlm would read them wherever they are."""
    try:
        sources = read_dlm(path)[0].sources
    except DlmError as error:
        raise RequestSpecError(f"{field}: {error.message}") from None
    if sources:
        raise RequestSpecError(
            f"{field}: requests cannot use a document that names further files (training.sources)"
        )


def _files_of(path: Path) -> Iterator[Path]:
    """A path and, of a folder, everything below it: a link may lead anywhere."""
    yield path
    count = 0
    for folder, folders, files in os.walk(path, followlinks=True):  # the limit ends circles
        count += len(folders) + len(files)
        if count > _MOST_FILES:
            raise RequestSpecError(
                f"a folder in the spec contains more than {_MOST_FILES:,} files and folders"
            )
        yield from (Path(folder) / name for name in (*folders, *files))


def _is_below(path: Path, roots: Sequence[Path]) -> bool:
    try:
        real = os.path.realpath(path, strict=True)
    except (OSError, ValueError):
        return False
    return any(Path(real).is_relative_to(root) for root in roots)


def _set(value: Any, field: FieldPath, text: str) -> None:
    *above, last = field
    for part in above:
        value = value[part]
    value[last] = text
