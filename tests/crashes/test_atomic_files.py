"""Files and folders that are there completely or not at all, and what killed writers left."""

from __future__ import annotations

import errno
import gc
import os
import platform
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_sway import atomic_files
from pytest_sway.atomic_files import (
    ScratchFolder,
    append_atomically,
    file_beside,
    new_folder,
    write_atomically,
)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_was_there_stays_where_a_write_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    file = tmp_path / "result.json"
    file.write_text("old")

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fails)
    with pytest.raises(OSError, match="Input/output error"):
        write_atomically(file, b"new")
    assert file.read_text() == "old"
    assert _names(tmp_path) == ["result.json"]


def test_a_file_system_without_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fails)
    assert write_atomically(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"


def test_the_longest_name_and_names_that_are_no_text(tmp_path: Path) -> None:
    for name in (b"x" * 255, b"\xff\xfe", "ü".encode() * 127):
        file = tmp_path / os.fsdecode(name)
        assert write_atomically(file, name)
        assert file.read_bytes() == name
    assert len(_names(tmp_path)) == 3


def test_links_stay_and_links_to_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_bytes() == b"new"
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(tmp_path / "a", b"new")


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    for name in (".file.7.tmp", ".file.7.0123abcd.tmp", ".file.8.tmp", ".other.7.tmp"):
        (tmp_path / name).write_text("half")
    for name in (".file.7.tmp", ".file.7.0123abcd.tmp", ".other.7.tmp"):
        os.utime(tmp_path / name, (0, 0))
    write_atomically(tmp_path / "file", b"new")
    assert _names(tmp_path) == [".file.8.tmp", ".other.7.tmp", "file"]
    atomic_files.remove_leftovers(tmp_path / "none", re.compile(".*"))


def test_a_folder_of_a_killed_process_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    killed = tmp_path / "x-killed"
    (killed / "new").mkdir(parents=True)
    (killed / ".sway-scratch").write_text(f"{platform.node()} 7\n")
    (killed / "before" / "adapter").mkdir(parents=True)
    with ScratchFolder("x-", tmp_path) as used:
        assert killed.exists(), "it may have been made just now, and not be locked yet"
        for folder in (killed, Path(used)):
            os.utime(folder, (0, 0))
        with ScratchFolder("x-", tmp_path):
            assert Path(used).is_dir()
            assert not killed.exists()
    assert _names(tmp_path) == ["adapter"], "what it was about to replace is back"


@pytest.mark.parametrize("marker", [None, "", "another-host 7\n", "x" * 9])
def test_a_folder_that_is_not_this_hosts_stays(tmp_path: Path, marker: str | None) -> None:
    folder = tmp_path / "x-v1"
    folder.mkdir()
    (folder / "adapter.safetensors").write_text("of a user")
    if marker is not None:
        (folder / ".sway-scratch").write_text(marker)
    os.utime(folder, (0, 0))
    with ScratchFolder("x-", tmp_path):
        assert (folder / "adapter.safetensors").read_text() == "of a user"


def test_a_folder_without_a_marker_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", fails)
    with pytest.raises(OSError, match="No space"):
        ScratchFolder("x-", tmp_path)
    assert _names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts the descriptors in /proc")
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
def test_a_dropped_folder_releases_its_lock(tmp_path: Path) -> None:
    before = len(_names(Path("/proc/self/fd")))
    scratch = ScratchFolder("x-", tmp_path)
    assert len(_names(Path("/proc/self/fd"))) == before + 1
    del scratch
    gc.collect()
    assert len(_names(Path("/proc/self/fd"))) == before
    assert _names(tmp_path) == []


def test_two_writers_with_one_process_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in two containers: the second begins while the first has written half of its file."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with file_beside(tmp_path / "file") as first:
        first.path.write_bytes(b"half")
        write_atomically(tmp_path / "file", b"second")
        assert first.path.read_bytes() == b"half"
        first.path.write_bytes(b"half, and the rest")
        first.give_name()
    assert (tmp_path / "file").read_bytes() == b"half, and the rest"
    assert _names(tmp_path) == ["file"]


def test_files_are_synced_through_a_descriptor_that_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to sync any other."""
    fcntl = pytest.importorskip("fcntl")
    modes = []

    def synced(number: int) -> None:
        if not stat.S_ISDIR(os.fstat(number).st_mode):
            modes.append(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(os, "fsync", synced)
    write_atomically(tmp_path / "file", b"new")
    assert modes == [os.O_RDWR]


def test_a_read_only_file_in_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_ = Path.open

    def of_no_root(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode == "r+b":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", of_no_root)
    with new_folder(tmp_path / "there", ".x-") as made:
        (made / "file").write_text("read-only")
        (made / "file").chmod(0o444)
    assert (tmp_path / "there" / "file").read_text() == "read-only"


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "adapter"
    target.mkdir()
    (target / "old").write_text("")
    rename = Path.rename

    def fails(self: Path, to: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="No space"), new_folder(target, ".x-", replace=True) as made:
        (made / "new").write_text("")
    assert _names(target) == ["old"]
    assert _names(tmp_path) == ["adapter"]


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_bytes(b"one\n")
    append_atomically(file, b"two\n")
    assert file.read_bytes() == b"one\ntwo\n"
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signals = pytest.importorskip("signal")
    before = signals.signal(signals.SIGXFSZ, signals.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            append_atomically(file, b"three\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signals.signal(signals.SIGXFSZ, before)
    assert file.read_bytes() == b"one\ntwo\n"


def test_standard_output_is_not_emptied(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from pytest_sway.atomic_files import write_atomically; "
        "print('before'); write_atomically(Path('/dev/stdout'), b'content\\n'); print('after')"
    )
    with (tmp_path / "out").open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert (tmp_path / "out").read_text() == "before\ncontent\nafter\n"


def test_a_file_that_is_mounted_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*_: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    (tmp_path / "result.json").write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", replace)
    assert write_atomically(tmp_path / "result.json", b"new")
    assert (tmp_path / "result.json").read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["result.json"]
