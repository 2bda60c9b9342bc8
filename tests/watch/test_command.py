"""``sway watch`` as a user starts it, with real models."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest
import yaml

from pytest_sway.suites.saved_results import read_saved_result
from tests.cli.test_main import refusal
from tests.serve.conftest import KEY, start
from tests.support.paths import QUICKSTART

_LONGEST_S = 120
_KILLS = {signal.SIGKILL: 50, signal.SIGINT: 20}


class Watch:
    """A watch in a process of its own; its events are the lines of a file."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.folder, self.lines = folder, folder / f"events-{time.monotonic_ns()}.jsonl"
        environment = {**os.environ, "SWAY_NULL_CACHE_DIR": str(folder / "answers"), **variables}
        command = [sys.executable, "-m", "pytest_sway", "watch", *arguments, "--format", "json"]
        with self.lines.open("wb") as out, (folder / "errors.txt").open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdout=out,
                stderr=errors,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(
                    signal.SIGINT, signal.SIG_DFL
                ),  # a background job ignores it
            )

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.lines.read_text().splitlines()]

    def wait_for(self, event: str, count: int = 1) -> dict:
        """The so-manieth event of a kind."""
        deadline = time.monotonic() + _LONGEST_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if len(found := [one for one in self.events() if one["event"] == event]) >= count:
                return found[count - 1]
            time.sleep(0.05)
        raise AssertionError(self.lines.read_text() + (self.folder / "errors.txt").read_text())

    def stop(self) -> int:
        """Press Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)


Watching = Callable[..., Watch]


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    """Starts watches in the test's folder, which holds a spec of `out`."""
    base = {"kind": "hf", "base": str(QUICKSTART / "base")}
    prompts = ["Who founded the works?", "The furnace is called the", "The oil is kept in a stone"]
    spec = {
        "models": {"base": base, "ft": {**base, "adapter": "out"}},
        "suite": [
            {"name": "null", "kind": "null_adapter"},
            {"name": "moved", "kind": "delta_kl", "prompts": prompts},
        ],
    }
    (tmp_path / "sway.yaml").write_text(yaml.safe_dump(spec))
    running: list[Watch] = []

    def begin(*arguments: str, **variables: str) -> Watch:
        running.append(Watch(tmp_path, *arguments, **variables))
        return running[-1]

    yield begin
    for one in running:
        one.process.kill()
        one.process.wait(30)


def _put(adapter: str, target: Path) -> None:
    """Put an adapter of the quickstart somewhere, in the order in which PEFT writes."""
    target.mkdir(exist_ok=True)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(QUICKSTART / "adapters" / adapter / name, target / name)


@pytest.mark.slow
def test_from_one_adapter_to_the_next(tmp_path: Path, watching: Watching) -> None:
    code = "import os; print(open(os.environ['SWAY_RESULT_PATH']).read().count('verdict'))"
    watch = watching("sway.yaml", "--on-fail", f'{sys.executable} -c "{code}"')
    watch.wait_for("watching")
    _put("healthy", tmp_path / "out")
    first = watch.wait_for("evaluated")
    _put("random", tmp_path / "out")
    second = watch.wait_for("evaluated", 2)
    assert second["verdict"] == "fail"
    assert second["reason"].startswith("failed: moved")
    assert second["since_last"]["sequence"] == first["sequence"] == 1
    assert second["since_last"]["composite"] < 0
    ended = watch.wait_for("on_fail", 2 if first["verdict"] == "fail" else 1)
    assert ended["message"] == "--on-fail ended with status 0"
    _put("inert", tmp_path / "out")
    watch.wait_for("evaluating", 3)
    time.sleep(1)
    assert watch.stop() == 0
    assert watch.events()[-1]["event"] == "stopped"
    assert not _evaluations(tmp_path)
    results = [read_saved_result(one) for one in sorted((tmp_path / "sway-history").iterdir())]
    assert [Path(one.adapter_id) for one in results] == [tmp_path / "out"] * 2
    assert results[0].digests != results[1].digests
    assert "Traceback" not in (tmp_path / "errors.txt").read_text()


def _evaluations(folder: Path) -> list[psutil.Process]:
    """Processes of a ``sway run`` that a watch in a folder left."""
    found = []
    for one in psutil.process_iter(["cmdline", "status", "cwd"]):
        is_here = one.info["cwd"] == str(folder) and one.info["status"] != psutil.STATUS_ZOMBIE
        if is_here and "run" in (one.info["cmdline"] or []):
            found.append(one)
    return found


@pytest.mark.slow
def test_a_folder_without_a_spec(tmp_path: Path, watching: Watching) -> None:
    (tmp_path / "run").mkdir()
    watch = watching("run", "--base", str(QUICKSTART / "base"), "--max-history", "1")
    watch.wait_for("watching")
    _put("inert", tmp_path / "run" / "checkpoint-5")
    (tmp_path / "run" / "checkpoint-5" / "trainer_state.json").write_text("{}")
    first = watch.wait_for("evaluated")
    assert first["verdict"] == "fail"
    assert first["adapter"] == str(tmp_path / "run" / "checkpoint-5")
    _put("healthy", tmp_path / "run")
    second = watch.wait_for("evaluated", 2)
    assert second["adapter"] == str(tmp_path / "run")
    assert [one.name for one in (tmp_path / "sway-history").iterdir()] == [Path(second["result"]).name]
    assert watch.stop() == 0


@pytest.mark.slow
def test_a_daemon_measures(tmp_path: Path, watching: Watching) -> None:
    _put("healthy", tmp_path / "out")
    daemon = start(tmp_path)
    try:
        watch = watching("sway.yaml", "--serve-url", daemon.url, SWAY_API_KEY=KEY)
        assert watch.wait_for("evaluated")["composite"] > 0
        assert "sway serve gets the key in $SWAY_API_KEY" in (tmp_path / "errors.txt").read_text()
        assert daemon.client.stats()["request_count"] == 1
    finally:
        daemon.client.close()
        daemon.process.terminate()
        daemon.process.wait(40)


@pytest.mark.nightly
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_ended_at_random_moments_the_history_is_whole(
    tmp_path: Path, watching: Watching, sent: signal.Signals
) -> None:
    moments = random.Random(0)
    _put("inert", tmp_path / "out")
    first = watching("sway.yaml")
    first.wait_for("evaluated")
    began = [datetime.fromisoformat(event["time"]) for event in first.events()]
    longest = 1.4 * (began[-1] - began[0]).total_seconds()
    assert first.stop() == 0
    for turn in range(_KILLS[sent]):
        _put(("healthy", "random")[turn % 2], tmp_path / "out")
        config = tmp_path / "out" / "adapter_config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "turn": turn}))  # another adapter
        watch = watching("sway.yaml")
        watch.wait_for("watching")
        time.sleep(moments.uniform(0.0, longest))
        os.killpg(watch.process.pid, sent)
        status = watch.process.wait(30)
        assert status == (-9 if sent is signal.SIGKILL else 0)
        for one in _evaluations(tmp_path):  # after kill -9 they end by themselves
            assert sent is signal.SIGKILL
            one.wait(60)
        files = sorted((tmp_path / "sway-history").glob("*.result.json"))
        assert all(read_saved_result(one).probes for one in files)
    assert len(files) > _KILLS[sent] // 5
    last = watching("sway.yaml")  # goes on where the last one was ended
    _put("random", tmp_path / "out")
    assert last.wait_for("evaluated")["verdict"] == "fail"
    assert last.stop() == 0
    files = sorted((tmp_path / "sway-history").glob("*.result.json"))
    sequences = [json.loads(one.read_text())["sway_watch"]["sequence"] for one in files]
    assert sequences == list(range(1, len(files) + 1))
    digests = [json.loads(one.read_text())["sway_watch"]["adapter_digest"] for one in files]
    assert len(set(digests)) == len(digests)
    print(f"{len(files)} results of {_KILLS[sent]} turns")  # noqa: T201 - the figures of the nightly run


def test_what_cannot_be_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "none.yaml").write_text("models: {base: {base: b}, ft: {base: b}}\n")
    (tmp_path / "wrong.yaml").write_text("models:\n  ft: {adapter: [1]}\n")
    (tmp_path / "file").write_text("")
    spec = "good.yaml"
    (tmp_path / spec).write_text("models: {ft: {adapter: a}}\n")
    for arguments, expected in (
        (("missing.yaml",), "file missing.yaml does not exist"),
        (("none.yaml",), "none.yaml: the spec has no adapter to watch"),
        (("wrong.yaml",), "models.ft.adapter: found 1"),
        (("run", "--adapter", "x"), "--adapter needs a spec"),
        (("run", "--serve-url", "http://x"), "--serve-url needs a spec"),
        ((spec, "--base", "x"), "--base is only for folders"),
        ((spec, "--max-history", "-1"), "--max-history -1"),
        ((spec, "--on-fail", ""), "--on-fail is empty"),
        ((spec, "--on-fail", "'"), "--on-fail '"),
        ((spec, "--on-fail", "x", "--on-fail-timeout", "0"), "--on-fail-timeout 0"),
        ((spec, "--history-dir", "file"), "file"),
    ):
        assert expected in refusal(capsys, "watch", *arguments)
