"""Archives that are no pack to be unpacked: each a function that writes one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SPEC = """\
models:
  base: {base: org/base}
  ft: {base: org/base, adapter: ./adapter}
suite:
  - {name: moved, kind: delta_kl, prompts: [Who?]}
"""
MANIFEST: dict[str, Any] = {
    "swaypack_version": 1,
    "sway_version": "0.1.0",
    "packed_at": "2026-01-01T00:00:00+00:00",
    "spec_filename": "sway.yaml",
}
Build = Callable[[Path], None]


def member(name: str, content: bytes = b"{}", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(
    *members: tuple[tarfile.TarInfo, bytes], spec: str = SPEC, manifest: Mapping[str, Any] | None = None
) -> bytes:
    """A pack of dlm-sway's form with further members."""
    stream = io.BytesIO()
    described = MANIFEST if manifest is None else manifest
    with tarfile.open(fileobj=stream, mode="w:gz") as packed:
        usual = [
            member("swaypack/manifest.json", json.dumps(described).encode()),
            member("swaypack/sway.yaml", spec.encode()),
        ]
        for info, content in [*usual, *members]:
            packed.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def own(spec: str = SPEC, **changed: Any) -> bytes:
    """A pack of pytest-sway's form."""
    digests = {"sway.yaml": hashlib.sha256(spec.encode()).hexdigest()}
    added = {
        "base": {"name": "org/base", "digest": ""},
        "adapter_digest": "",
        "answers": 0,
        "sha256": digests,
        "versions": {},
    }
    return archive(spec=spec, manifest={**MANIFEST, "pytest_sway": {**added, **changed}})


def _patched_size(size: bytes) -> bytes:
    """A header that promises another size than there is."""
    raw = bytearray(gzip.decompress(archive()))
    raw[124:136] = size
    raw[148:156] = b" " * 8
    checksum = sum(raw[:512])
    raw[148:156] = f"{checksum:06o}\0 ".encode()
    return gzip.compress(bytes(raw))


def archive_blocks() -> bytes:
    """The blocks of a pack, uncompressed."""
    return gzip.decompress(archive())


def _raw(blocks: bytes) -> bytes:
    return gzip.compress(blocks)


def _block(name: str, kind: bytes, size: int = 0, content: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size or len(content)
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + content + b"\0" * (-len(content) % 512)


def _pax(key: str, value: str) -> bytes:
    record = f" {key}={value}\n"
    length = len(record) + len(str(len(record) + 2))
    return _block("pax", b"x", content=f"{length}{record}".encode())


def _spec_with(line: str) -> bytes:
    return archive(spec=SPEC + line)


def _model_with(field: str) -> bytes:
    return archive(spec=SPEC.replace("adapter: ./adapter", f"adapter: ./adapter, {field}"))


def _long_header() -> bytes:
    info = tarfile.TarInfo("swaypack/x.json")
    info.pax_headers = {"comment": "x" * 200_000}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT) as packed:
        packed.addfile(info)
    return stream.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "absolute path": lambda: archive(member("/etc/sway.json")),
    "absolute path below top": lambda: archive(member("swaypack//etc/x.json".replace("swaypack", ""))),
    "parent": lambda: archive(member("swaypack/../../x.json")),
    "parent alone": lambda: archive(member("../x.json")),
    "parent in the middle": lambda: archive(member("swaypack/files/../../x.json")),
    "another top folder": lambda: archive(member("other/x.json")),
    "no top folder": lambda: archive(member("x.json")),
    "symlink": lambda: archive(member("swaypack/l.json", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "symlink to a folder": lambda: archive(
        member("swaypack/files", b"", type=tarfile.SYMTYPE, linkname="/tmp"), member("swaypack/files/x.json")
    ),
    "hard link": lambda: archive(
        member("swaypack/l.json", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")
    ),
    "character device": lambda: archive(member("swaypack/d.json", b"", type=tarfile.CHRTYPE)),
    "block device": lambda: archive(member("swaypack/d.json", b"", type=tarfile.BLKTYPE)),
    "pipe": lambda: archive(member("swaypack/p.json", b"", type=tarfile.FIFOTYPE)),
    "twice": lambda: archive(member("swaypack/x.json"), member("swaypack/x.json", b"[]")),
    "twice in another case": lambda: archive(member("swaypack/x.json"), member("swaypack/X.json")),
    "the spec twice": lambda: archive(member("swaypack/sway.yaml", b"suite: []")),
    "a file and a folder": lambda: archive(
        member("swaypack/files.json"), member("swaypack/files.json/x.json")
    ),
    "a conftest": lambda: archive(member("swaypack/conftest.py", b"raise SystemExit")),
    "an ini file": lambda: archive(member("swaypack/pytest.ini", b"[pytest]")),
    "a pyproject": lambda: archive(member("swaypack/pyproject.toml", b"")),
    "a pickle": lambda: archive(member("swaypack/adapter/adapter_model.bin", b"")),
    "a hidden file": lambda: archive(member("swaypack/.hidden.json")),
    "a text that doctest collects": lambda: archive(member("swaypack/files/test_x.txt", b">>> 1 / 0")),
    "an optimizer state": lambda: archive(member("swaypack/adapter/optimizer.pt", b"")),
    "folders with hidden members": lambda: _raw(_block("swaypack/d", b"5", size=512) + archive_blocks()),
    "many headers for one member": lambda: _raw(_pax("path", "swaypack/x.json") * 1200 + archive_blocks()),
    "a header with a size": lambda: _raw(_pax("size", "99999999999") + archive_blocks()),
    "a header of a sparse file": lambda: _raw(_pax("GNU.sparse.major", "1") + archive_blocks()),
    "a global header": lambda: _raw(_block("pax", b"g") + archive_blocks()),
    "a long name of GNU": lambda: _raw(_block("././@LongLink", b"L") + archive_blocks()),
    "a size in base 256": lambda: _patched_size(b"\x80" + b"\x7f" * 11),
    "a wrong checksum": lambda: _raw(b"x" + archive_blocks()[1:]),
    "a backslash": lambda: archive(member("swaypack\\..\\x.json")),
    "a line break": lambda: archive(member("swaypack/x\n.json")),
    "a zero byte": lambda: archive(member("swaypack/x\0.json")),
    "a terminal escape": lambda: archive(member("swaypack/\x1b[31mx.json")),
    "a long name": lambda: archive(member(f"swaypack/{'x' * 300}.json")),
    "a deep name": lambda: archive(member("swaypack/a/b/c/d/e/x.json")),
    "too many members": lambda: archive(*[member(f"swaypack/files/{n}.json", b"") for n in range(2100)]),
    "a long header": _long_header,
    "a size that is not there": lambda: _patched_size(b"00077777777\0"),
    "a size that is no number": lambda: _patched_size(b"xxxxxxxxxxx\0"),
    "cut off": lambda: archive()[:-40],
    "no gzip": lambda: b"swaypack",
    "no tar": lambda: gzip.compress(b"swaypack" * 200),
    "empty": lambda: b"",
    "no manifest": lambda: gzip.compress(b"\0" * 1024),
    "another version": lambda: archive(manifest={**MANIFEST, "swaypack_version": 2}),
    "a version that is text": lambda: archive(manifest={**MANIFEST, "swaypack_version": "1"}),
    "a manifest that is a list": lambda: archive(manifest=[]),  # type: ignore[arg-type]
    "a spec elsewhere": lambda: archive(manifest={**MANIFEST, "spec_filename": "../../sway.yaml"}),
    "a spec that is not there": lambda: archive(manifest={**MANIFEST, "spec_filename": "other.yaml"}),
    "a digest that differs": lambda: own(sha256={"sway.yaml": "0" * 64}),
    "a member without a digest": lambda: own(sha256={}),
    "a digest without a member": lambda: own(
        sha256={"sway.yaml": hashlib.sha256(SPEC.encode()).hexdigest(), "x.json": "0" * 64}
    ),
    "answers that are text": lambda: own(answers="many"),
    "a revision that leads out": lambda: own(
        spec=SPEC.replace("./adapter", "org/name@../../../../secret"), base={"name": "org/base", "digest": ""}
    ),
    "an adapter of the working directory": lambda: own(spec=SPEC.replace("./adapter", "private/adapter")),
    "another base than the manifest's": lambda: own(spec=SPEC.replace("org/base", "org/other")),
    "a variable of the environment": lambda: _model_with("device: '${HOME}'"),
    "a key": lambda: _model_with("api_key: '${HOME}'"),
    "files of a training": lambda: archive(spec=SPEC + "  - {name: g, kind: gradient_ghost}\n"),
    "a kind of a plugin": lambda: archive(
        spec=SPEC + "  - {name: g, kind: reads_any_file, file: /etc/passwd}\n"
    ),
    "a time that is text": lambda: archive(manifest={**MANIFEST, "packed_at": "x\x1b[31m"}),
    "sections elsewhere": lambda: _spec_with("sections: /etc/passwd\n"),
    "controls above": lambda: _spec_with("controls: ../../controls.yaml\n"),
    "sections of a home": lambda: _spec_with("sections: ~/.ssh/id_rsa\n"),
    "sections of a variable": lambda: _spec_with("sections: ${HOME}/x.yaml\n"),
    "sections that are not there": lambda: _spec_with("sections: files/other.yaml\n"),
    "a document elsewhere": lambda: _spec_with("dlm_source: /home/me/x.dlm\n"),
    "a template elsewhere": lambda: _spec_with("defaults: {chat_template: /etc/passwd}\n"),
    "a store elsewhere": lambda: archive(
        spec=SPEC + "  - {name: drift, kind: training_drift, store_path: /var/log}\n"
    ),
    "an embedder elsewhere": lambda: archive(
        spec=SPEC + "  - {name: c, kind: cluster_kl, prompts: [a], embedding_model: /models/x}\n"
    ),
    "another adapter in the spec": lambda: own(spec=SPEC.replace("./adapter", "/home/me/adapter")),
    "a pattern of adapters": lambda: own(spec=SPEC.replace("./adapter", "./adapt*")),
    "remote code": lambda: _model_with("trust_remote_code: true"),
    "an entry point": lambda: _model_with("kind: custom, entry_point: 'os:system'"),
    "a server": lambda: _model_with("kind: api, endpoint: 'http://127.0.0.1'"),
    "a YAML bomb": lambda: archive(
        spec="a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + SPEC
    ),
    "a YAML tag": lambda: archive(spec="x: !!python/object/apply:os.system [id]\n" + SPEC),
}
