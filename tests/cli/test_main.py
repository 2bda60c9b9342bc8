"""Every command: its help with an example, what is wrong with its arguments, its exit status."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from syrupy.assertion import SnapshotAssertion

from pytest_sway.cli.main import COMMANDS, main
from pytest_sway.engine import disk_cache
from pytest_sway.probes.shared import optional_packages
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import FULL_WEIGHTS, save_adapter
from tests.support.saved_results import DLM_SWAY_RESULT

HEALTHY = QUICKSTART / "adapters" / "healthy"


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return Path(shutil.copy(DLM_SWAY_RESULT, tmp_path / "result.json"))


def output(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(one) for one in arguments]) == 0
    found = capsys.readouterr()
    assert not found.err
    return found.out


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 2) -> str:
    """The one line that a command ends with."""
    assert main([str(one) for one in arguments]) == status
    found = capsys.readouterr()
    assert not found.out
    assert found.err.startswith("sway: ")
    assert found.err.count("\n") == 1
    return found.err.removeprefix("sway: ").rstrip()


@pytest.mark.parametrize("name", ["", *(command.name for command in COMMANDS)])
def test_help(capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion, name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"] if name else ["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == snapshot


def test_examples_are_of_their_commands() -> None:
    for command in COMMANDS:
        assert command.example.startswith(f"sway {command.name}")


def test_nothing_asked_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys).startswith("usage: sway")


def test_a_command_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "sway.yaml"])
    assert ended.value.code == 2
    assert "invalid choice: 'evaluate'" in capsys.readouterr().err


def test_an_abbreviated_option_is_none(capsys: pytest.CaptureFixture[str], result: Path) -> None:
    with pytest.raises(SystemExit):
        main(["report", str(result), "--form", "md"])
    assert "--form" in capsys.readouterr().err


def test_arguments_for_pytest_where_no_test_runs(capsys: pytest.CaptureFixture[str], result: Path) -> None:
    assert refusal(capsys, "report", result, "--", "-x") == (
        "sway report does not accept arguments for pytest; remove -- and the arguments after it"
    )


def test_dlm_sway_beside_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.1.0")
    assert "dlm-sway is also installed" in refusal(capsys, "list-probes")


@pytest.mark.slow
def test_the_module_is_the_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pytest_sway.cli.main import main; main(['--version'] if 0 else []);"
        "print([m for m in ('torch', 'numpy', 'yaml', 'pydantic', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    done = subprocess.run(
        [sys.executable, "-m", "pytest_sway", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("sway ")


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("terminal", "FAILED"),
        ("md", "# sway report"),
        ("markdown", "# sway report"),
        ("json", "{"),
        ("junit", "<?xml"),
    ],
)
def test_report(capsys: pytest.CaptureFixture[str], result: Path, form: str, begins: str) -> None:
    text = output(capsys, "report", result, "--format", form)
    assert begins in text.splitlines()[0] or form == "terminal"
    assert "delta" in text or form == "terminal"


def test_report_into_a_file(capsys: pytest.CaptureFixture[str], result: Path, tmp_path: Path) -> None:
    assert not output(capsys, "report", result, "--format", "html", "--out", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!")
    assert "pass a file name with --out" in refusal(capsys, "report", result, "--format", "html")
    assert "remove --out" in refusal(capsys, "report", result, "--out", tmp_path / "x")
    assert "is not writable" in refusal(
        capsys, "report", result, "--format", "md", "--out", result / "below" / "a.md"
    )


def test_report_of_what_is_no_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "cannot be read" in refusal(capsys, "report", tmp_path / "none.json")
    (tmp_path / "other.json").write_text("{}", "utf-8")
    assert "does not have the fields" in refusal(capsys, "report", tmp_path / "other.json")


def test_compare(capsys: pytest.CaptureFixture[str], result: Path, tmp_path: Path) -> None:
    worse = json.loads(result.read_text("utf-8"))
    worse["score"]["overall"] = 0.0
    (tmp_path / "worse.json").write_text(json.dumps(worse), "utf-8")
    assert "composite" in output(capsys, "compare", result, tmp_path / "worse.json")
    assert main(["compare", str(result), str(tmp_path / "worse.json"), "--fail-on-regression", "0.1"]) == 1
    assert "regressions (score drops of 0.1 or more, " in capsys.readouterr().out
    assert json.loads(output(capsys, "compare", result, "--format", "json"))["labels"] == ["result"]
    assert "write a number in [0, 1]" in refusal(capsys, "compare", result, "--fail-on-regression", "7")


def test_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    event = {"ts": 1.0, "probe": "dk", "view_id": "ft", "op": "generate", "wall_ms": 12.5, "hit": False}
    (tmp_path / "trace.jsonl").write_text(json.dumps(event) + "\n", "utf-8")
    assert "dk" in output(capsys, "trace", tmp_path / "trace.jsonl", "--slowest", 1)
    found = json.loads(output(capsys, "trace", tmp_path / "trace.jsonl", "--format", "json"))
    assert found["total_events"] == 1
    (tmp_path / "empty.jsonl").write_text("", "utf-8")
    assert "empty.jsonl" in refusal(capsys, "trace", tmp_path / "empty.jsonl", status=1)
    assert "cannot be read" in refusal(capsys, "trace", tmp_path / "none.jsonl")


def test_cache(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path))
    assert output(capsys, "cache", "path").startswith(str(tmp_path))
    assert "0 answers" in output(capsys, "cache", "info")
    assert json.loads(output(capsys, "cache", "info", "--json"))["answers"] == 0
    assert "cleared " in output(capsys, "cache", "clear")
    monkeypatch.setenv("SWAY_DISABLE_NULL_CACHE", "1")
    assert "the answer cache is off" in refusal(capsys, "cache", "info")


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    text = output(capsys, "doctor")
    assert f"peft {importlib.metadata.version('peft')}" in text
    assert "hub     offline" in text
    found = json.loads(output(capsys, "doctor", "--json"))
    assert {"sway_version", "python", "platform", "extras", "device", "cache", "hub"} <= found.keys()
    assert found["skipped_kinds"] == {}
    monkeypatch.setattr(optional_packages, "why_missing", lambda extra: f"{extra} is missing")
    skipped = json.loads(output(capsys, "doctor", "--json"))["skipped_kinds"]
    assert skipped["semsim"] == ["adapter_revert", "cluster_kl"]
    assert (
        "skipped probes: adapter_revert, cluster_kl (to run them: pip install 'pytest-sway[semsim]')"
        in output(capsys, "doctor")
    )


def test_the_cache_of_an_odd_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "c#h?e %41"
    folder.mkdir()
    store = disk_cache.DiskCache(folder)
    store.put({b"key": 0.5})
    store.close()
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(folder))
    assert ": 1 answers" in output(capsys, "cache", "info")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_junit_of_what_no_xml_may_hold(capsys: pytest.CaptureFixture[str], result: Path) -> None:
    content = json.loads(result.read_text("utf-8"))
    content["probes"][0] |= {"message": "bad \ufffe \x00 ]]> <&", "verdict": "fail"}
    result.write_text(json.dumps(content), "utf-8")
    root = ET.fromstring(output(capsys, "report", result, "--format", "junit").encode())
    assert len(root.findall("testcase")) == len(content["probes"]) + 1
    assert (root.find("testcase/failure").text or "").startswith("bad ")  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_terminal_without_our_letters_and_a_pipe_without_a_reader(result: Path) -> None:
    command = [sys.executable, "-m", "pytest_sway", "report", str(result)]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    shell = f"set -o pipefail; {shlex.join([*command, '--format', 'json'])} | true"
    assert subprocess.run(["bash", "-c", shell], capture_output=True, check=False).returncode in (0, 141)
    full = subprocess.run(
        ["bash", "-c", f"{shlex.join(command)} > /dev/full"], capture_output=True, check=False
    )
    assert full.returncode != 0
    assert b"Traceback" not in full.stderr


def test_convert_adapter(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = output(capsys, "convert-adapter", HEALTHY, tmp_path / "mlx")
    assert "28 modules, rank 8, scale 2" in text
    assert output(capsys, "convert-adapter", tmp_path / "mlx", tmp_path / "back", "--target", "peft")
    assert "is not empty" in refusal(capsys, "convert-adapter", HEALTHY, tmp_path / "mlx", status=1)
    assert output(capsys, "convert-adapter", HEALTHY, tmp_path / "mlx", "--overwrite")
    assert "does not exist" in refusal(capsys, "convert-adapter", tmp_path / "none", tmp_path / "x")
    ia3 = save_adapter(tmp_path / "ia3", FULL_WEIGHTS["ia3"])
    capsys.readouterr()  # of transformers, a progress bar
    assert "peft_type IA3" in refusal(capsys, "convert-adapter", ia3, tmp_path / "x", status=1)
