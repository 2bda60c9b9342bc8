"""Unpacks a pack into a folder: all of it, or nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.atomic_files import new_folder
from pytest_sway.backends.hf.model_files import MODEL_FILES, files_digest
from pytest_sway.packs.archive_reading import read_members
from pytest_sway.packs.archive_writing import TOP
from pytest_sway.packs.errors import PackError
from pytest_sway.packs.manifest import Manifest
from pytest_sway.packs.member_names import ADAPTER, BASE, MANIFEST, SOURCE
from pytest_sway.packs.packing import folder_digest
from pytest_sway.packs.spec_paths import (
    SpecPath,
    check_inside,
    check_packable,
    spec_paths,
    variable_fields,
    with_replaced,
)
from pytest_sway.spec.encoding import decode
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.path_lookup import is_folder
from pytest_sway.spec.problems import FieldPath, SpecError
from pytest_sway.spec.yaml_source import read_spec
from pytest_sway.text.message_parts import describe, field_name


@dataclass(frozen=True)
class Unpacked:
    """A pack on disk.

    Attributes:
        folder: of it.
        spec: its spec.
        manifest: what it says of itself.
        needs: ``base`` and ``adapter`` that it neither has nor names on the hub.
    """

    folder: Path
    spec: Path
    manifest: Manifest
    needs: tuple[str, ...]


def unpack(pack: Path, into: Path, *, base: Path | None = None, adapter: Path | None = None) -> Unpacked:
    """Write a pack's files to ``into/swaypack``.

    Args:
        pack: the archive.
        into: a folder, which is made where it is missing.
        base: the base model's folder on this machine, where the pack does not name it on the hub.
        adapter: the adapter's folder, where it is not in the pack.

    Raises:
        PackError: the folder is there, or the pack may not be unpacked; nothing is written then.
    """
    target = into / TOP
    if os.path.lexists(target):
        raise PackError(f"{target} already exists; remove it, or choose another folder with -o")
    members = read_members(pack)
    manifest = _manifest(members)
    _check_digests(manifest, members)
    if manifest.spec not in members:
        raise PackError(f"{MANIFEST} lists {manifest.spec} as the spec, but the pack does not contain it")
    given = {name: path for name, path in ((BASE, base), (ADAPTER, adapter)) if path is not None}
    for name, folder in given.items():
        _check_given(name, folder, manifest, members)
    text, needs = _prepared_spec(manifest, members)
    for name in given:
        if name not in needs:
            raise PackError(f"--{name} is not needed: the pack's spec does not refer to ./{name}")
    try:
        with new_folder(target, ".unpacking-") as written:
            _write(written, {**members, manifest.spec: text})
            for name, folder in given.items():
                (written / name).symlink_to(folder.resolve(), target_is_directory=True)
    except OSError as error:
        raise PackError(f"{into} cannot be written: {error.strerror or error}") from None
    return Unpacked(target, target / manifest.spec, manifest, tuple(n for n in needs if n not in given))


def _manifest(members: Mapping[str, bytes]) -> Manifest:
    content = members.get(MANIFEST)
    if content is None:
        raise PackError(f"the archive has no {MANIFEST}, so it is not a pack")
    try:
        return Manifest.from_json(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise PackError(f"{MANIFEST} is not UTF-8") from None


def _check_digests(manifest: Manifest, members: Mapping[str, bytes]) -> None:
    if not manifest.is_own:
        return
    there = members.keys() - {MANIFEST}
    if there != manifest.digests.keys():
        odd = min(there ^ manifest.digests.keys())
        missing, other = (MANIFEST, "the archive") if odd in there else ("the archive", MANIFEST)
        raise PackError(f"{describe(odd)} is in {other}, but not in {missing}")
    for name, digest in manifest.digests.items():
        if hashlib.sha256(members[name]).hexdigest() != digest:
            raise PackError(f"the SHA-256 of {name} differs from the one in {MANIFEST}")


def _check_given(name: str, folder: Path, manifest: Manifest, members: Mapping[str, bytes]) -> None:
    """A base or an adapter of this machine must be the pack's."""
    if not folder.is_dir():
        raise PackError(f"--{name} {folder}: folder does not exist")
    if any(one.startswith(f"{name}/") for one in members):
        raise PackError(f"--{name} {folder}: the pack already contains the {name}")
    if name == BASE:
        wanted, found = manifest.base.digest, files_digest(folder, MODEL_FILES)
    else:
        wanted, found = manifest.adapter_digest, folder_digest(folder)
    if wanted and wanted != found:
        raise PackError(
            f"--{name} {folder}: the files differ from those that the pack was made with (digest {found}, "
            f"expected {wanted})"
        )


def _write(folder: Path, members: Mapping[str, bytes]) -> None:
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _prepared_spec(manifest: Manifest, members: Mapping[str, bytes]) -> tuple[bytes, list[str]]:
    """The spec, which names nothing outside of the pack, and what it needs of this machine.

    In a spec of dlm-sway's packs, which is as it was written, folders of models and ``dlm_source`` become the
    pack's.
    """
    with tempfile.TemporaryDirectory(prefix="sway-unpack-") as folder:
        spec = Path(folder) / manifest.spec
        spec.write_bytes(members[manifest.spec])
        try:
            value = read_spec(spec).value
            check_packable(value)
            if replaced := _own_paths(value, manifest, members):
                spec.write_text(with_replaced(decode(spec, spec.read_bytes()), replaced), "utf-8")
                value = read_spec(spec).value
        except SpecError as error:
            raise PackError(f"the pack's spec cannot be read: {' '.join(str(error).split())}") from None
        text = spec.read_bytes()
    for field, _ in variable_fields(value):
        raise PackError(f"{field_name(field)} uses an environment variable, which is not allowed in a pack")
    needs: dict[str, None] = {}
    for path in spec_paths(value):
        if path.role in (BASE, ADAPTER):
            needs.update(dict.fromkeys(_needed_model(path, manifest, members)))
        else:
            check_inside(path)
            if path.written not in members:
                raise PackError(f"the pack's spec uses {path.written!r}, which the pack does not contain")
    return text, list(needs)


def _needed_model(path: SpecPath, manifest: Manifest, members: Mapping[str, bytes]) -> list[str]:
    """The role of a model that the pack does not hold; empty for one that it has, or that is on the hub."""
    if path.written == f"./{path.role}":
        return [] if any(name.startswith(f"{path.role}/") for name in members) else [str(path.role)]
    is_on_hub = path.role == BASE and HubName.of(path.written) is not None
    if is_on_hub and (not manifest.is_own or path.written == manifest.base.name):
        if is_folder(Path(path.written)):
            raise PackError(
                f"the pack's base model is {path.written} on the Hugging Face Hub, but there is a local "
                "folder with the same name; run the command in another folder"
            )
        return []
    check_inside(path)
    raise PackError(f"the pack's spec uses {path.written!r} instead of ./{path.role}")


def _own_paths(
    value: Mapping[str, Any], manifest: Manifest, members: Mapping[str, bytes]
) -> dict[FieldPath, str]:
    if manifest.is_own:
        return {}
    found: dict[FieldPath, str] = {}
    for path in spec_paths(value):
        if path.role in (BASE, ADAPTER) and HubName.of(path.written) is None:
            found[path.field] = f"./{path.role}"
        elif path.role == "document" and SOURCE in members:
            found[path.field] = SOURCE
    return found
