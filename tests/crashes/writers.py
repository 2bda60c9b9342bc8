"""Everything of the product that writes a file, each with what it writes and how to tell a complete file."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree as ET

from pytest_sway.cli.main import main
from tests.support.fake_models import SPEC
from tests.support.paths import QUICKSTART

CONFTEST = """
from tests.support import fake_models

def pytest_sway_backend(config, model):
    backend = fake_models.backend(model)
    backend.identity = "fake 1"
    return backend
"""
"""Fake answers that may be kept on disk."""
STORE = "answers"
Result = tuple[int, str]


@dataclass(frozen=True)
class Writer:
    """One command, or one part of the package, that writes.

    Attributes:
        name: of it.
        prepare: lays out a folder for it, from a folder that is made once for all.
        write: exit status and messages.
        outputs: files and folders that it writes, each of which is complete or as it was.
        appended: those that it appends to: whole lines alone.
    """

    name: str
    prepare: Callable[[Path, Path], None]
    write: Callable[[Path], Result]
    outputs: tuple[str, ...]
    appended: tuple[str, ...] = ()


def command(*arguments: str) -> Callable[[Path], Result]:
    """Runs a command of ``sway`` in this process, with ``{}`` for the folder."""

    def write(folder: Path) -> Result:
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), contextlib.chdir(folder):
            status = main([part.replace("{}", str(folder)) for part in arguments])
        unwritten = [line for line in out.getvalue().splitlines() if "could not be written" in line]
        return status, "\n".join([*errors.getvalue().splitlines(), *unwritten])

    return write


def suite(folder: Path) -> None:
    """A suite on fake models."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "sway.yaml").write_text(SPEC)
    (folder / "pytest.ini").write_text("[pytest]\n")


def make_source(source: Path) -> None:
    """What the writers start from."""
    (source / "run").mkdir(parents=True)
    suite(source / "run")
    status, messages = command("run", "sway.yaml", "--json", "result.json", "--trace", "trace.jsonl")(
        source / "run"
    )
    assert status == 0, messages


def _project(source: Path, folder: Path) -> None:
    suite(folder)


def _result(source: Path, folder: Path) -> None:
    for name in ("result.json", "trace.jsonl"):
        shutil.copy(source / "run" / name, folder / name)


def _adapter(source: Path, folder: Path) -> None:
    shutil.copytree(QUICKSTART / "adapters" / "healthy", folder / "adapter")


def _pack(source: Path, folder: Path) -> None:
    _adapter(source, folder)
    base = f"{{base: {QUICKSTART / 'base'}}}"
    models = f"models: {{base: {base}, ft: {base[:-1]}, adapter: ./adapter}}}}\n"
    (folder / "sway.yaml").write_text(f"{models}suite: [{{name: x, kind: null_adapter}}]\n")


def _write_pack(folder: Path) -> Result:
    def measured(parsed: object, spec: Path, pack: object) -> None:
        pack.members["golden.json"] = b"{}"  # type: ignore[attr-defined]

    with mock.patch("pytest_sway.cli.packing._measure", measured):
        return command("pack", "sway.yaml", "-o", "{}/x.swaypack.tar.gz")(folder)


def _packed(source: Path, folder: Path) -> None:
    if not (source / "x.swaypack.tar.gz").exists():
        work = source / "packing"
        work.mkdir()
        _pack(source, work)
        assert _write_pack(work)[0] == 0
        shutil.move(work / "x.swaypack.tar.gz", source)
    shutil.copy(source / "x.swaypack.tar.gz", folder)


def _nothing(source: Path, folder: Path) -> None:
    pass


def _write_history(folder: Path) -> Result:
    from pytest_sway.watch.history import History

    try:
        own = {"adapter_pointer": "/adapter", "adapter_digest": "x", "verdict": "pass"}
        History(folder / "history", "watched", 3).add({"probes": []}, own)
    except OSError as error:  # the watch says it, and tries again
        return 2, f"sway: {error.strerror}"
    return 0, ""


def _write_answers(folder: Path) -> Result:
    from pytest_sway.engine.disk_cache import DiskCache

    store = DiskCache(folder / STORE)
    for number in range(3):
        store.put_soon({f"key {number} {k}".encode(): 0.5 for k in range(300)})
        store.flush()
    store.close()
    notes = store.notes()
    assert notes or check_store(folder) == 900, "answers are lost, and nothing says so"
    return 2 if notes else 0, "".join(f"sway: {note}" for note in notes)


def _write_gguf(folder: Path) -> Result:
    from types import SimpleNamespace

    import torch

    from pytest_sway.backends.base import BackendError
    from pytest_sway.backends.gguf.adapter_writer import write_adapter

    module = SimpleNamespace(a=torch.ones(4, 8), b=torch.ones(8, 4), scaling=2.0)
    layout = SimpleNamespace(name="llama", tensor_name=lambda name: name, ordered=lambda name, value: value)
    try:
        write_adapter(folder / "adapter.gguf", {"blk.0": module}, layout)  # type: ignore[dict-item, arg-type]
    except BackendError as error:
        return 2, f"sway: {error}"
    return 0, ""


def _write_lora_folder(folder: Path) -> Result:
    import torch

    from pytest_sway.backends.api.peft_folder import LoraFolder, write_folder
    from pytest_sway.backends.base import BackendError

    config = {"alpha_pattern": {}, "lora_alpha": 2.0}
    try:
        write_folder(folder / "lora", LoraFolder(config, lambda: {"x": torch.ones(9)}), 1.0, None)
    except BackendError as error:
        return 2, f"sway: {error}"
    return 0, ""


RUN_OUTPUTS = {"json": "out.json", "markdown": "out.md", "html": "out.html"}
_REPORTS = [part for name, file in RUN_OUTPUTS.items() for part in (f"--{name}", file)]
_MINE = ("mine", "sway.yaml", "--mode", "outliers", "--from-corpus", "public_domain_en")
WRITERS = [
    Writer("run", _project, command("run", "sway.yaml", *_REPORTS), tuple(RUN_OUTPUTS.values())),
    Writer("trace", _project, command("run", "sway.yaml", "--trace", "trace.jsonl"), (), ("trace.jsonl",)),
    Writer(
        "gate", _project, command("gate", "sway.yaml", "--junit", "gate.xml", "--threshold", "0.1"),
        ("gate.xml",),
    ),
    Writer(
        "report-junit", _result, command("report", "result.json", "--format", "junit", "--out", "out.xml"),
        ("out.xml",),
    ),
    Writer("compare", _result, command("compare", "result.json", "--out", "out.txt"), ("out.txt",)),
    Writer("init", _nothing, command("init", "--out", "new.yaml", "--force"), ("new.yaml",)),
    Writer("mine", _project, command(*_MINE, "--out", "mined.yaml"), ("mined.yaml",)),
    Writer("schema", _nothing, command("schema", "--out", "schema.json"), ("schema.json",)),
    Writer(
        "convert", _adapter, command("convert-adapter", "adapter", "mlx", "--overwrite"), ("mlx",)
    ),
    Writer("pack", _pack, _write_pack, ("x.swaypack.tar.gz",)),
    Writer("unpack", _packed, command("unpack", "x.swaypack.tar.gz", "-o", "{}/there"), ("there",)),
    Writer("history", _nothing, _write_history, ("history",)),
    Writer("answers", _nothing, _write_answers, ()),
    Writer("gguf", _nothing, _write_gguf, ("adapter.gguf",)),
    Writer("lora-folder", _nothing, _write_lora_folder, ("lora",)),
]  # fmt: skip


def content(path: Path) -> object:
    """What was written at a path, but for numbers: times differ. None where there is nothing."""
    if path.is_dir():
        hidden = [f"{one}{os.sep}" for one in map(str, path.rglob(".*"))]
        found = [one for one in sorted(path.rglob("*")) if not one.name.startswith(".")]
        files = [one for one in found if not str(one).startswith(tuple(hidden))]
        return [(_plain_name(file, path), content(file)) for file in files if not file.is_dir()] or None
    if not path.exists():
        return None
    content_now = path.read_bytes()
    if path.suffix in (".json", ".yaml", ".md", ".html", ".txt", ".xml"):
        return re.sub(rb"\d[\d.:,e+\-]*", b"0", content_now)
    return content_now


def _plain_name(file: Path, folder: Path) -> str:
    return re.sub(r"\d{8}T\d{6}Z", "TIME", str(file.relative_to(folder)))


def check_store(folder: Path) -> int:
    """The answers on disk; the file opens and is whole."""
    file = next((folder / STORE).glob("*.sqlite"), None)
    if file is None or not file.stat().st_size:
        return 0
    with closing(sqlite3.connect(file)) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not base.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone():
            return 0
        return int(base.execute("SELECT count(*) FROM answers").fetchone()[0])


def check_lines(file: Path) -> None:
    """An appended file has complete lines alone."""
    found = file.read_bytes() if file.exists() else b""
    assert not found or found.endswith(b"\n"), found[-200:]
    for line in found.splitlines():
        json.loads(line)


def check_parses(file: Path) -> None:
    """A file with a format of its own, where it is there."""
    if not file.is_file():
        return
    if file.suffix == ".json":
        json.loads(file.read_bytes())
    if file.suffix == ".xml":
        ET.parse(file)
