"""Readers of packs: whole archives, what stands in their members, and specs that become one."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from pytest_sway.cli.pack_sessions import PackSession
from pytest_sway.engine.portable_answers import PortableAnswers, PortableAnswersError
from pytest_sway.items.suite import load_suite
from pytest_sway.packs.archive_writing import archive_bytes
from pytest_sway.packs.errors import PackError
from pytest_sway.packs.manifest import Manifest, PackedBase
from pytest_sway.packs.member_names import ANSWERS, GOLDEN, MANIFEST, SOURCE, SPEC, largest_size
from pytest_sway.packs.packing import begin_pack
from pytest_sway.packs.unpacking import Unpacked, unpack
from pytest_sway.reports.json_report import payload
from pytest_sway.result import Verdict
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.yaml_source import read_spec
from tests.fuzz.mutations import changed_bytes, changed_value, json_documents, write_yaml, yaml_documents
from tests.fuzz.reader import Reader
from tests.fuzz.spec_documents import CONTROLS, SECTIONS, entry
from tests.support.adapter_stubs import FACTORS, adapter_stub, safetensors
from tests.support.dlm_documents import DOCUMENT
from tests.support.suite_results import probe, suite

_BASE = {"base": "org/base"}
_FILES: Mapping[str, Any] = {"sections": "files/sections.json", "controls": "files/controls.json"}
_SPEC = {
    "models": {"base": _BASE, "ft": {**_BASE, "adapter": "./adapter"}},
    "suite": [entry("delta_kl"), entry("null_adapter")],
    **_FILES,
}
_SPECS = [_SPEC, {**{k: v for k, v in _SPEC.items() if k not in _FILES}, "dlm_source": SOURCE}]
_RESULT = suite(probe("a delta_kl", Verdict.PASS, z_score=4.0), probe("other", Verdict.FAIL))
_ANSWERS = [
    {"answers": 3, "format": 1, "noise_floor": None, "origin": "a machine"},
    {"01" * 16: 0.5},
    {"02" * 16: [-1.5, 3, None]},
    {"03" * 16: ["You.", [1, 2]]},
]


def _lines(values: Any) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def _members(spec: Any) -> dict[str, bytes]:
    return {
        SPEC: yaml.safe_dump(spec, sort_keys=False).encode("utf-8", "surrogatepass"),
        SOURCE: DOCUMENT.encode(),
        GOLDEN: json.dumps(payload(_RESULT)).encode(),
        ANSWERS: _lines(_ANSWERS),
        "files/sections.json": json.dumps(SECTIONS).encode(),
        "files/controls.json": json.dumps(CONTROLS).encode(),
        "adapter/adapter_config.json": b'{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2}',
        "adapter/adapter_model.safetensors": safetensors(FACTORS),
    }


def _manifest(members: Mapping[str, bytes]) -> Any:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    found = Manifest("0.1.0", "2026-01-01T00:00:00+00:00", digests=digests, base=PackedBase("org/base"))
    return json.loads(found.to_json())


def _archive(members: Mapping[str, bytes], manifest: Any) -> bytes:
    return archive_bytes({**members, MANIFEST: json.dumps(manifest).encode()}, 0)


@st.composite
def _changed_pack(draw: st.DrawFn) -> bytes:
    """A pack whose spec, manifest or one other member is changed; its digests mostly fit."""
    members = _members(draw(st.sampled_from(_SPECS) | changed_value(_SPECS)))
    name = draw(st.sampled_from(sorted(members)))
    if draw(st.booleans()):
        members[name] = draw(changed_bytes([members[name]]))
    if draw(st.integers(0, 9)) == 0:
        members[draw(st.text(min_size=1, max_size=30).filter(_is_member_name))] = b"{}"
    sound = _manifest(members)
    manifest = draw(st.just(sound) | changed_value([sound, {**sound, "pytest_sway": None}]))
    return _archive(members, manifest)


def _is_member_name(text: str) -> bool:
    """Whether tarfile can write it."""
    return "\0" not in text and text.isprintable()


_SOUND = [_archive(members, _manifest(members)) for members in map(_members, _SPECS)]
_BLOCKS = [gzip.decompress(pack) for pack in _SOUND]


def _beside(folder: Path) -> None:
    shutil.rmtree(folder / "out", ignore_errors=True)


def _read_pack(file: Path) -> None:
    """All of it is unpacked, or nothing; what is unpacked are a pack's own files."""
    out = file.parent / "out"
    try:
        found = unpack(file, out)
    except PackError:
        assert not out.exists() or not list(out.iterdir()), "something was written"
        raise
    for path in found.folder.rglob("*"):
        is_member = path.is_file() and largest_size(path.relative_to(found.folder).as_posix())
        assert not path.is_symlink(), path
        assert path.is_dir() or is_member, path
    PackSession(found).comparison(_RESULT)
    _read_suite(found.spec)
    if (answers := found.folder / ANSWERS).exists():
        PortableAnswers.read(answers)


def _read_suite(spec: Path) -> None:
    read_spec(spec)
    load_suite(spec)


def _read_golden(file: Path) -> None:
    manifest = Manifest("0.1.0", "2026-01-01T00:00:00+00:00")
    text = PackSession(Unpacked(file.parent, file.parent / SPEC, manifest, ())).comparison(_RESULT)
    raise PackError(text)


def _beside_packable(folder: Path) -> None:
    _beside(folder)
    if not (folder / "adapter").exists():
        adapter_stub(folder / "adapter")
        (folder / "files").mkdir()
        for name, content in _members(_SPEC).items():
            if name.startswith("files/") or name == SOURCE:
                (folder / name).write_bytes(content)


def _read_packable(file: Path) -> None:
    """A spec that can be packed can be unpacked."""
    pack = begin_pack(file, load_suite(file), include_adapter=True)
    archive = file.parent / "x.swaypack.tar.gz"
    archive.write_bytes(pack.archive())
    unpack(archive, file.parent / "out", base=pack.base)


_REFUSALS = (PackError, SpecError, PortableAnswersError)
READERS = [
    Reader("pack", "x.swaypack.tar.gz", _read_pack, _REFUSALS, _changed_pack(), _beside, _SOUND, writes=True),
    Reader(
        "pack_blocks",
        "x.swaypack.tar.gz",
        _read_pack,
        _REFUSALS,
        changed_bytes(_BLOCKS).map(gzip.compress) | changed_bytes(_SOUND),
        _beside,
        writes=True,
    ),
    Reader("golden", GOLDEN, _read_golden, (PackError,), json_documents(payload(_RESULT))),
    Reader(
        "packable_spec",
        SPEC,
        _read_packable,
        _REFUSALS,
        yaml_documents(*_SPECS),
        _beside_packable,
        [write_yaml(one) for one in _SPECS],
        writes=True,
    ),
]
