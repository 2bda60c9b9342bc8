"""``manifest.json`` of a pack: dlm-sway's version 1, with what pytest-sway adds under a key of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pytest_sway.packs.errors import PackError
from pytest_sway.packs.member_names import GOLDEN, MANIFEST, SOURCE, SPEC_NAME
from pytest_sway.reports.json_report import json_text
from pytest_sway.text.message_parts import describe

VERSION = 1
OWN = "pytest_sway"
"""Key of what dlm-sway's packs do not have."""


@dataclass(frozen=True)
class PackedBase:
    """The base model, which is never in a pack.

    Attributes:
        name: on the hub; empty for a folder, which the spec calls ``./base``.
        digest: of its files, 32 hex digits; empty where it is not known.
    """

    name: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Manifest:
    """What a pack says of itself.

    Attributes:
        sway_version: of the program that wrote it.
        packed_at: ISO 8601.
        spec: name of the spec's member.
        sizes: bytes of each other member.
        digests: SHA-256 of each other member; empty in a pack of dlm-sway.
        base: the base model.
        adapter_digest: of the adapter's files, 32 hex digits; empty where it is not known.
        answers: how many the pack has.
        versions: of what answered.
        is_own: whether pytest-sway wrote it.
    """

    sway_version: str
    packed_at: str
    spec: str = "sway.yaml"
    sizes: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    base: PackedBase = field(default_factory=PackedBase)
    adapter_digest: str = ""
    answers: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    is_own: bool = True

    def to_json(self) -> str:
        """The file's content."""
        return json_text(
            {
                "swaypack_version": VERSION,
                "sway_version": self.sway_version,
                "packed_at": self.packed_at,
                "spec_filename": self.spec,
                "section_bytes": dict(self.sizes),
                "null_stats_count": 0,
                "null_stats_keys": [],
                "golden_included": GOLDEN in self.sizes,
                "dlm_source_packed": SOURCE in self.sizes,
                OWN: {
                    "base": {"name": self.base.name, "digest": self.base.digest},
                    "adapter_digest": self.adapter_digest,
                    "answers": self.answers,
                    "sha256": dict(self.digests),
                    "versions": dict(self.versions),
                },
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """What :meth:`to_json` or dlm-sway wrote.

        Raises:
            PackError: it is neither, or it is of another version.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PackError(f"{MANIFEST} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise PackError(f"{MANIFEST}: found {describe(value)}, expected a JSON object")
        if value.get("swaypack_version") != VERSION:
            found = describe(value.get("swaypack_version"))
            raise PackError(
                f"{MANIFEST}: swaypack_version is {found}, but this version of pytest-sway supports {VERSION}"
            )
        spec = _of_type(value, "spec_filename", str)
        if not SPEC_NAME.fullmatch(spec):
            raise PackError(
                f"{MANIFEST}: spec_filename is {describe(spec)}, expected a name such as sway.yaml"
            )
        own = value.get(OWN)
        common = cls(_of_type(value, "sway_version", str), _time(value, "packed_at"), spec)
        return cls._from_own(common, _as_object(value, OWN)) if own is not None else cls._of_dlm_sway(common)

    @classmethod
    def _of_dlm_sway(cls, common: Manifest) -> Manifest:
        return cls(common.sway_version, common.packed_at, common.spec, is_own=False)

    @classmethod
    def _from_own(cls, common: Manifest, own: Mapping[str, Any]) -> Manifest:
        base, digests = _as_object(own, "base"), _as_object(own, "sha256")
        if not all(isinstance(one, str) for one in digests.values()):
            raise PackError(f"{MANIFEST}: {OWN}.sha256 contains values that are not digests")
        return cls(
            common.sway_version,
            common.packed_at,
            common.spec,
            digests=digests,
            base=PackedBase(_of_type(base, "name", str), _of_type(base, "digest", str)),
            adapter_digest=_of_type(own, "adapter_digest", str),
            answers=_of_type(own, "answers", int),
            versions={str(name): str(version) for name, version in _as_object(own, "versions").items()},
        )


def _of_type(value: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    found = value.get(name)
    if not isinstance(found, kind) or isinstance(found, bool):
        raise PackError(f"{MANIFEST}: {name} is {describe(found)}, expected {kind.__name__}")
    return found


def _time(value: Mapping[str, Any], name: str) -> str:
    """A time, written anew."""
    found = _of_type(value, name, str)
    try:
        return datetime.fromisoformat(found).isoformat()
    except ValueError:
        raise PackError(f"{MANIFEST}: {name} is {describe(found)}, expected a time in ISO 8601") from None


def _as_object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise PackError(f"{MANIFEST}: {name} is {describe(found)}, expected an object")
    return found
