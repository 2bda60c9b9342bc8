"""Closed streams, full devices, clocks that jump, time zones, locales, odd paths: a message or a result."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.crashes.killed_run import KilledRun, verdicts
from tests.crashes.writers import command, suite
from tests.support.paths import QUICKSTART

SWAY = shlex.join([sys.executable, "-m", "pytest_sway"])
YEARS = 10 * 365 * 86400


def _shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        (f"{SWAY} cache path >&-", 2, "sway: standard output: Bad file descriptor\n"),
        (f"{SWAY} cache path >/dev/full", 2, "sway: standard output: No space left on device\n"),
        (f"{SWAY} --help >/dev/full", 2, "sway: standard output: No space left on device\n"),
        (f"{SWAY} report none.json 2>&-", 2, ""),
        (f"{SWAY} schema --out schema.json <&- >&- 2>&-", 0, ""),
    ],
)
def test_streams_that_are_closed_or_full(line: str, status: int, message: str, tmp_path: Path) -> None:
    done = _shell(line, tmp_path)
    assert (done.returncode, done.stderr) == (status, message)
    if "schema.json" in line:
        assert json.loads((tmp_path / "schema.json").read_text())


@pytest.mark.slow
def test_time_zones_and_locales(tmp_path: Path) -> None:
    suite(tmp_path)
    assert command("run", "sway.yaml", "--json", "result.json")(tmp_path)[0] == 0
    ascii_only = {"LC_ALL": "C", "LANG": "", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    odd = [{"TZ": "Pacific/Kiritimati"}, {"TZ": ":none"}, {"LC_ALL": "tr_TR.UTF-8"}, ascii_only]
    line = f"{SWAY} report result.json --format json --out found.json"
    _shell(line, tmp_path)
    expected = (tmp_path / "found.json").read_bytes()
    for variables in odd:
        given = shlex.join(["env", *(f"{name}={value}" for name, value in variables.items())])
        done = _shell(f"{given} {line}", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "found.json").read_bytes() == expected


@pytest.mark.nightly
def test_a_clock_that_jumps(tmp_path: Path, fail_calls: dict[str, str]) -> None:
    _, expected = KilledRun(tmp_path / "steady").finish()
    jump = {**fail_calls, "SWAY_CLOCK_AFTER": "60", "SWAY_CLOCK_OFFSET": str(-YEARS)}
    run = KilledRun(tmp_path / "jumping", variables=jump)
    for _ in range(2):  # the second one on answers of a day that is yet to come
        _, found = run.finish()
        assert verdicts(found) == verdicts(expected)
    assert found["backend_stats"]["stored_hits"] == run.check()


def test_folders_whose_names_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"project-\xff")
    folder.mkdir()
    suite(folder)
    reports = ["--json", "r.json", "--markdown", "r.md", "--html", "r.html", "--trace", "t.jsonl"]
    assert command("run", "sway.yaml", *reports)(folder) == (0, "")
    assert "project-\udcff" in json.loads((folder / "r.json").read_bytes())["spec_path"]
    assert all((folder / name).stat().st_size for name in reports[1::2])
    assert command("report", "r.json", "--format", "junit", "--out", "r.xml")(folder)[0] == 0
    assert ET.parse(folder / "r.xml")


@pytest.mark.parametrize("name", ["init", "check"])
def test_no_spec_can_name_a_folder_whose_name_is_no_text(name: str, tmp_path: Path) -> None:
    adapter = shutil.copytree(QUICKSTART / "adapters" / "healthy", tmp_path / os.fsdecode(b"adapter-\xff"))
    out = ("--out", "new.yaml") if name == "init" else ("--quiet",)
    status, message = command(name, str(adapter), "--base", str(QUICKSTART / "base"), *out)(tmp_path)
    assert status == 2
    assert "has bytes that are not UTF-8, which a spec cannot contain" in message
    assert not (tmp_path / "new.yaml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "report loop", "run loop", "check loop", "convert-adapter loop x", "init loop", "pack loop",
        "unpack loop", "rank loop --data loop", "watch loop", "trace loop", "compare loop",
        "schema --out loop", "init --out loop --force", "run sway.yaml --trace loop",
        "run sway.yaml --json loop", "gate sway.yaml --json loop --baseline none.json",
    ],
)  # fmt: skip
def test_symbolic_links_to_each_other(arguments: str, tmp_path: Path) -> None:
    suite(tmp_path)
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    status, message = command(*arguments.split())(tmp_path)
    assert status in (1, 2)
    assert message.startswith("sway: ")
    assert len(message.splitlines()) == 1


def test_a_folder_of_a_model_with_a_link_to_itself(tmp_path: Path) -> None:
    suite(tmp_path)
    adapter = tmp_path / "adapters" / "good"
    shutil.copytree(QUICKSTART / "adapters" / "healthy", adapter)
    (adapter / "again").symlink_to(adapter)
    (adapter / "none.json").symlink_to("none.json")
    assert command("convert-adapter", "adapters/good", "mlx")(tmp_path) == (0, "")
    status, message = command("run", "sway.yaml", "--adapter", "adapters/*", "--json", "r.json")(tmp_path)
    assert (status, message) == (0, "")
    assert json.loads((tmp_path / "r.json").read_bytes())["gate"]["status"] == "passed"


def test_a_path_that_is_as_long_as_paths_may_be(tmp_path: Path) -> None:
    deep = tmp_path
    with contextlib.chdir(tmp_path):
        while len(str(deep)) + 200 < 3900:
            deep = deep / ("d" * 200)
            os.mkdir("d" * 200)  # noqa: PTH102 - one step at a time
            os.chdir("d" * 200)
        suite(Path())
        status, message = command("run", "sway.yaml", "--json", "r.json", "--trace", "t.jsonl")(deep)
        assert (status, message) == (0, "")
        assert json.loads(Path("r.json").read_bytes())["gate"]["status"] == "passed"
        status, message = command("run", "sway.yaml", "--json", "e" * 250)(deep)
        assert (status, message) == (2, f"--sway-json={'e' * 250} could not be written: File name too long")


def test_no_home_and_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite(tmp_path)
    monkeypatch.delenv("SWAY_NULL_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    assert command("run", "sway.yaml", "--json", "r.json")(tmp_path) == (0, "")
    notes = " ".join(json.loads((tmp_path / "r.json").read_bytes())["notes"])
    assert "the answer cache /dev/null/.cache/pytest-sway/answers-3.sqlite is not used: " in notes
