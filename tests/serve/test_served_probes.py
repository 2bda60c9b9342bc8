"""``pytest --sway-server``: a daemon measures; collection, verdicts, gate and reports stay here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sway.cli.pack_sessions import differing
from pytest_sway.version import __version__
from tests.serve.conftest import KEY, Answering, Daemon, free_port
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow
SUITE = """\
models:
  base: {{kind: hf, base: {folder}/base}}
  ft: {{kind: hf, base: {folder}/base, adapter: {folder}/adapters/healthy}}
suite:
  - {{name: "null", kind: null_adapter}}
  - {{name: moved, kind: delta_kl, prompts: ["Who founded the works?", "The furnace is"]}}
  - {{name: facts, kind: calibration_drift, items_limit: 4}}
  - {{name: "off", kind: leakage, enabled: false}}
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "sway.yaml").write_text(SUITE.format(folder=QUICKSTART))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "sway.yaml", *arguments]
    environment = {**os.environ, "SWAY_SERVE_KEY": KEY, "SWAY_NULL_CACHE_DIR": str(folder / "answers")}
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_the_same_result_without_a_model_here(daemon: Daemon, tmp_path: Path) -> None:
    served = _run(tmp_path, f"--sway-server={daemon.url}", "--sway-json=served.json", "--sway-threshold=0.1")
    assert served.returncode == 0, served.stdout
    assert not (tmp_path / "answers").exists()
    own = _run(tmp_path, "--sway-json=own.json", "--sway-threshold=0.1")
    assert own.returncode == 0, own.stdout
    found, expected = (json.loads((tmp_path / name).read_text()) for name in ("served.json", "own.json"))
    assert differing(expected, found) == []
    assert served.stdout.count("PASSED") == own.stdout.count("PASSED")


def test_some_probes_another_adapter_and_a_gate_that_fails(daemon: Daemon, tmp_path: Path) -> None:
    other = f"--sway-adapter={QUICKSTART}/adapters/random"
    found = _run(
        tmp_path,
        f"--sway-server={daemon.url}",
        "-k",
        "moved",
        other,
        "--sway-json=r.json",
        "--sway-threshold=1",
    )
    assert found.returncode == 1
    result = json.loads((tmp_path / "r.json").read_text())
    assert [probe["name"] for probe in result["probes"]] == ["moved"]
    assert Path(result["adapter_id"]).name == "random"


def test_a_daemon_that_refuses_the_spec(daemons, tmp_path: Path) -> None:
    one = daemons(key="another-key")
    found = _run(tmp_path, f"--sway-server={one.url}")
    assert found.returncode == 1
    assert "401: the API key is missing or wrong" in found.stdout
    assert "Traceback" not in found.stdout


def test_a_daemon_of_another_version_is_refused(answering: Answering, tmp_path: Path) -> None:
    client, _ = answering((200, json.dumps({"status": "ok", "sway_version": "0.0.9"}).encode()))
    found = _run(tmp_path, f"--sway-server={client._http.base_url}")
    assert found.returncode == 4
    assert f"the server runs pytest-sway 0.0.9, but this is pytest-sway {__version__}" in found.stderr


@pytest.mark.parametrize("arguments", [("--sway-plan",), ("--sway-limit=2",), ("-n", "2"), ()])
def test_what_cannot_be_served_is_refused_at_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    found = _run(tmp_path, f"--sway-server={url}", *arguments)
    assert found.returncode == 4
    expected = "cannot connect to http" if not arguments else f"{arguments[0].partition('=')[0]}"
    assert expected in found.stderr
    assert "Traceback" not in found.stderr
