"""Folders of a run that died are removed, and a run that lives keeps its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sway.backends.api import adapter_directory
from pytest_sway.backends.api.adapter_directory import AdapterDirectory, default_directory
from pytest_sway.backends.base import AdapterKey, BackendError
from tests.backends.api.conftest import Open
from tests.support.completions_server import CompletionsServer, error
from tests.support.paths import QUICKSTART

URL = "http://127.0.0.1:8000"
DIES = """
import os, sys
from pathlib import Path
from pytest_sway.backends.api.adapter_directory import AdapterDirectory
run = AdapterDirectory(Path(sys.argv[1]), sys.argv[1], sys.argv[2])
(run.path / run.name("abc")).mkdir()
print(run.name("abc"), flush=True)
os._exit(9)
"""


def dead_run(path: Path, url: str = URL) -> str:
    """The name of an adapter of a process that was killed."""
    command = [sys.executable, "-c", DIES, str(path), url]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def test_names_are_of_one_run_and_of_one_content(tmp_path: Path) -> None:
    first, second = (
        AdapterDirectory(tmp_path, "/srv/nulls/", URL),
        AdapterDirectory(tmp_path, "/srv/nulls/", URL),
    )
    assert len({first.name("a"), first.name("b"), second.name("a")}) == 3
    assert first.server_path(first.name("a")) == f"/srv/nulls/{first.name('a')}"
    first.close()
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_run_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    left = dead_run(tmp_path)
    living = AdapterDirectory(tmp_path, str(tmp_path), URL)
    (tmp_path / living.name("b")).mkdir()
    run = AdapterDirectory(tmp_path, str(tmp_path), URL)
    unloaded: list[str] = []
    run.clean_up(lambda name: not unloaded.append(name))
    assert unloaded == [left]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [living.name("b")]
    run.close()
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_another_servers_dead_run_is_not_touched(tmp_path: Path) -> None:
    left = dead_run(tmp_path, "http://127.0.0.1:9999")
    run = AdapterDirectory(tmp_path, str(tmp_path), URL)
    run.clean_up(lambda _: True)
    run.close()
    assert (tmp_path / left).is_dir()


def test_what_the_server_still_has_is_left_to_a_later_run(tmp_path: Path) -> None:
    run = AdapterDirectory(tmp_path, str(tmp_path), URL)
    name = run.name("a")
    (tmp_path / name).mkdir()
    (tmp_path / f".{name}").mkdir()  # a folder that was being written
    run.close(lambda _: False)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [name]
    later = AdapterDirectory(tmp_path, str(tmp_path), URL)
    later.clean_up(lambda _: True)
    later.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_server_forgets_the_adapters_of_a_dead_run(
    open_backend: Open, server: CompletionsServer, tmp_path: Path
) -> None:
    folder = tmp_path / "nulls"
    left = dead_run(folder, server.url)
    for file in (QUICKSTART / "adapters" / "random").iterdir():
        (folder / left / file.name).write_bytes(file.read_bytes())
    server.add(left, str(folder / left))
    backend = open_backend()
    subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / "healthy")))
    assert left not in server.adapters
    assert not (folder / left).exists()
    backend.detach(subject)
    assert list(folder.iterdir()) == []


def test_a_refused_adapter_leaves_nothing(
    open_backend: Open, server: CompletionsServer, tmp_path: Path
) -> None:
    server.dropped = frozenset({"o_proj"})
    with pytest.raises(BackendError):
        open_backend().attach(AdapterKey(str(QUICKSTART / "adapters" / "healthy")))
    assert list((tmp_path / "nulls").iterdir()) == []
    assert not server.adapters


@pytest.mark.slow
def test_a_server_that_does_not_unload_is_asked_once(
    open_backend: Open, server: CompletionsServer, tmp_path: Path, quick_retries: None
) -> None:
    """Its folders stay, and the next run removes them."""
    backend = open_backend()
    subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / "healthy")))
    kept = {path.name for path in (tmp_path / "nulls").iterdir() if path.is_dir()}
    server.asked.clear()
    server.override = lambda _, path, body: error(500, "busy") if "unload" in path else None
    backend.detach(subject)
    assert {body["lora_name"] for path, body in server.asked if "unload" in path} == {min(kept)}
    assert {path.name for path in (tmp_path / "nulls").iterdir() if path.is_dir()} == kept
    server.override = lambda *_: None
    again = open_backend()
    again.detach(again.attach(AdapterKey(str(QUICKSTART / "adapters" / "healthy"))))
    assert list((tmp_path / "nulls").iterdir()) == []
    assert not server.adapters


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BackendError, match=r"models\.ft\.null_dir"):
        AdapterDirectory(tmp_path / "nulls", "", URL)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "nulls").write_text("")
    with pytest.raises(BackendError, match=r"models\.ft\.null_dir"):
        AdapterDirectory(tmp_path / "nulls", "", URL)


def test_the_default_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_directory.tempfile, "gettempdir", lambda: str(tmp_path))
    path = default_directory()
    assert path.parent == tmp_path
    assert default_directory() == path
    path.rmdir()
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackendError, match="not owned by the current user"):
        default_directory()
