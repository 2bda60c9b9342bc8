"""Unpacks a pack into a folder: all of it, or nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.backends.hf.model_files import MODEL_FILES, files_digest
from pytest_sway.packs.archive_reading import read_members
from pytest_sway.packs.archive_writing import TOP
from pytest_sway.packs.errors import PackError
from pytest_sway.packs.manifest import MANIFEST, SOURCE, Manifest
from pytest_sway.packs.packing import ADAPTER, BASE, folder_digest
from pytest_sway.packs.spec_paths import check_inside, check_packable, spec_paths, with_replaced
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.problems import FieldPath, SpecError
from pytest_sway.spec.yaml_source import read_spec

_LARGEST_MANIFEST = 4 << 20


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
        raise PackError(f"{target} exists; remove it, or give another folder with -o")
    members = read_members(pack)
    manifest = _manifest(members)
    _check_digests(manifest, members)
    if manifest.spec not in members:
        raise PackError(f"{MANIFEST} names {manifest.spec} as the spec, and the pack does not hold it")
    given = {name: path for name, path in ((BASE, base), (ADAPTER, adapter)) if path is not None}
    for name, folder in given.items():
        _check_given(name, folder, manifest, members)
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=into) as scratch:
        written = Path(scratch) / TOP
        _write(written, members)
        needs = _prepare_spec(written / manifest.spec, manifest, members)
        for name, folder in given.items():
            (written / name).symlink_to(folder.resolve(), target_is_directory=True)
        written.rename(target)
    return Unpacked(target, target / manifest.spec, manifest, tuple(n for n in needs if n not in given))


def _manifest(members: Mapping[str, bytes]) -> Manifest:
    content = members.get(MANIFEST)
    if content is None or len(content) > _LARGEST_MANIFEST:
        raise PackError(f"the archive has no {MANIFEST}, so it is no pack")
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
        raise PackError(f"{odd} is in the archive or in {MANIFEST}, and not in both")
    for name, digest in manifest.digests.items():
        if hashlib.sha256(members[name]).hexdigest() != digest:
            raise PackError(f"{name} is not what {MANIFEST} says: its SHA-256 differs")


def _check_given(name: str, folder: Path, manifest: Manifest, members: Mapping[str, bytes]) -> None:
    """A base or an adapter of this machine must be the pack's."""
    if not folder.is_dir():
        raise PackError(f"--{name} {folder}: there is no such folder")
    if any(one.startswith(f"{name}/") for one in members):
        raise PackError(f"--{name} {folder}: the pack has its own")
    if name == BASE:
        wanted, found = manifest.base.digest, files_digest(folder, MODEL_FILES)
    else:
        wanted, found = manifest.adapter_digest, folder_digest(folder)
    if wanted and wanted != found:
        raise PackError(
            f"--{name} {folder}: its files are not those that were packed (digest {found}, not {wanted})"
        )


def _write(folder: Path, members: Mapping[str, bytes]) -> None:
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _prepare_spec(spec: Path, manifest: Manifest, members: Mapping[str, bytes]) -> list[str]:
    """Check that the spec names nothing outside; what it needs of this machine.

    In a spec of dlm-sway's packs, which is as it was written, folders of models and ``dlm_source`` become the
    pack's.
    """
    try:
        value = read_spec(spec).value
    except SpecError as error:
        raise PackError(f"the pack's spec cannot be read: {error}") from None
    check_packable(value)
    replaced, needs = _own_paths(value, manifest, members), dict[str, None]()
    if replaced:
        spec.write_text(with_replaced(spec.read_text("utf-8-sig"), replaced), "utf-8")
        value = read_spec(spec).value
    for path in spec_paths(value):
        is_model = path.role in (BASE, ADAPTER)
        if is_model and path.written not in (f"./{path.role}", path.role) and HubName.of(path.written):
            continue
        check_inside(path)
        if is_model:
            if path.written.removeprefix("./") != path.role:
                raise PackError(f"the pack's spec names {path.written!r}, and not ./{path.role}")
            if not any(name.startswith(f"{path.role}/") for name in members):
                needs[str(path.role)] = None
        elif path.written not in members:
            raise PackError(f"the pack's spec names {path.written!r}, which the pack does not hold")
    return list(needs)


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
