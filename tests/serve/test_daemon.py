"""A real daemon: the numbers of pytest, one load for many clients, failures that cost one run."""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from safetensors.torch import load_file, save_file

from pytest_sway.cli.pack_sessions import differing
from pytest_sway.client import ServeClient, ServeClientError
from tests.serve.conftest import KEY, Daemon
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow
SPEC = yaml.safe_load((QUICKSTART / "sway.yaml").read_text("utf-8"))
PATH = QUICKSTART / "sway.yaml"


def small_spec(adapter: str = "healthy") -> dict:
    base = {"kind": "hf", "base": "./base"}
    return {
        "models": {"base": base, "ft": {**base, "adapter": f"./adapters/{adapter}"}},
        "suite": [
            {"name": "null", "kind": "null_adapter"},
            {"name": "moved", "kind": "delta_kl", "prompts": ["Who founded the works?", "The furnace is"]},
            {"name": "facts", "kind": "calibration_drift", "items_limit": 4},
        ],
    }


def test_the_same_numbers_as_pytest(daemon: Daemon, tmp_path: Path) -> None:
    served = daemon.client.run(SPEC, PATH)
    run = [sys.executable, "-m", "pytest_sway", "run", str(PATH), "--json", str(tmp_path / "r.json"), "-q"]
    subprocess.run(run, check=True, capture_output=True)
    own = json.loads((tmp_path / "r.json").read_text())
    assert (
        differing(
            own, {key: value for key, value in served.items() if key not in ("request_seconds", "run_id")}
        )
        == []
    )
    again = daemon.client.run(SPEC, PATH)
    assert again["backend_stats"]["forward_passes"] == 0
    assert daemon.client.health()["loaded_models"] == ["base"]


def test_some_probes_and_a_seed(daemon: Daemon) -> None:
    found = daemon.client.score(small_spec(), ["moved"], PATH)
    assert [probe["name"] for probe in found["probes"] if probe["verdict"] != "skip"] == ["moved"]
    with pytest.raises(ServeClientError, match="the suite has no probe 'movd'"):
        daemon.client.score(small_spec(), ["movd"], PATH)
    other = daemon.client.run(small_spec(), PATH, seed=5)
    assert other["determinism"]["seed"] == 5


def test_events_and_runs(daemon: Daemon) -> None:
    events = list(daemon.client.events(small_spec(), PATH))
    names = [event["event"] for event in events]
    assert names[0] == "queued"
    assert names[-1] == "complete"
    assert [event["name"] for event in events if event["event"] == "probe"] == ["null", "moved", "facts"]
    results = [event["result"]["name"] for event in events if event["event"] == "result"]
    assert results == ["null", "moved", "facts"]
    found = daemon.client.find(events[0]["run_id"])
    assert found["state"] == "done"
    assert found["result"]["score"] == events[-1]["result"]["score"]
    with pytest.raises(ServeClientError, match="this run does not exist") as error:
        daemon.client.find("0" * 16)
    assert error.value.status == 404


def test_ten_clients_at_once_load_one_model(daemon: Daemon) -> None:
    def ask(number: int) -> dict:
        with ServeClient(daemon.url, api_key=KEY) as client:
            return client.run(small_spec("random" if number % 2 else "healthy"), PATH)

    with ThreadPoolExecutor(10) as pool:
        results = list(pool.map(ask, range(10)))
    adapters = [Path(result["adapter_id"]).name for result in results]
    assert adapters == ["healthy", "random"] * 5
    assert len({json.dumps(one["score"]) for one in results[::2]}) == 1
    assert len({json.dumps(one["score"]) for one in results[1::2]}) == 1
    assert daemon.client.stats()["cached_backends"] == 1


def test_a_failing_run_costs_itself_alone(daemon: Daemon, tmp_path: Path) -> None:
    missing = small_spec("no-such-adapter")
    with pytest.raises(ServeClientError, match="no such file or folder") as error:
        daemon.client.run(missing, PATH)
    assert error.value.status == 400
    assert "Traceback" not in str(error.value)
    wrong = small_spec()
    wrong["suite"][1]["prompt"] = "x"
    with pytest.raises(ServeClientError, match=r"400: suite\[1\]\.prompt: unknown key 'prompt'") as error:
        daemon.client.run(wrong, PATH)
    assert "/tmp" not in str(error.value)
    assert daemon.client.run(small_spec(), PATH)["score"]["overall"] > 0


def test_a_run_that_is_cancelled_or_that_kills_the_worker(daemon: Daemon) -> None:
    slow = copy.deepcopy(SPEC)
    slow["defaults"] = {"seed": 77, "profile": "thorough"}
    events = daemon.client.events(slow, PATH)
    run = next(events)["run_id"]
    while next(events)["event"] != "progress":
        pass
    with ServeClient(daemon.url, api_key=KEY) as other:
        other.cancel(run)
    assert [event["event"] for event in events][-1] == "cancelled"

    slow["defaults"]["seed"] = 78
    events = daemon.client.events(slow, PATH)
    while next(events)["event"] != "progress":
        pass
    for worker in psutil.Process(daemon.process.pid).children():
        worker.kill()
    last = list(events)[-1]
    assert last["event"] == "failed"
    assert "the worker ended" in last["error"]
    assert daemon.client.run(small_spec(), PATH)["score"]["overall"] > 0


def test_a_base_that_changes_on_disk_is_loaded_anew(daemon: Daemon, daemons) -> None:
    folder = Path(daemon.process.args[-1])  # the second folder that is allowed
    shutil.copytree(QUICKSTART / "base", folder / "base")
    shutil.copytree(QUICKSTART / "adapters" / "healthy", folder / "adapters" / "healthy")
    first = daemon.client.run(small_spec(), folder / "sway.yaml")
    config = json.loads((folder / "base" / "generation_config.json").read_text())
    (folder / "base" / "generation_config.json").write_text(json.dumps({**config, "top_k": 7}))
    second = daemon.client.run(small_spec(), folder / "sway.yaml")
    assert first["digests"]["base"] != second["digests"]["base"]


def test_the_page_and_the_metrics(daemon: Daemon) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    daemon.client.run(small_spec(), PATH)
    page = httpx.get(f"{daemon.url}/", headers=headers).text
    assert "sway serve" in page
    assert "/report" in page
    metrics = httpx.get(f"{daemon.url}/metrics", headers=headers).text
    assert "sway_runs_total" in metrics
    assert "sway_models_loaded" in metrics


def test_memory_for_models_is_limited(daemons: Callable[..., Daemon]) -> None:
    size = (QUICKSTART / "base" / "model.safetensors").stat().st_size
    for limit, held in (("1GiB", ["base"]), ("1MiB", [])):
        client = daemons("--max-memory", limit).client
        assert client.run(small_spec(), PATH)["score"]["overall"] > 0
        assert client.health()["loaded_models"] == held
        stats = client.stats()
        assert size / 2 < stats["loaded_bytes"] < 3 * size if held else stats["loaded_bytes"] == 0


def test_it_stops_when_it_is_told(daemons) -> None:
    one = daemons()
    one.client.run(small_spec(), PATH)
    one.process.terminate()
    began = time.monotonic()
    one.process.wait(40)
    assert time.monotonic() - began < 30
    answers = Path(one.process.args[-1]) / "answers" / "answers-3.sqlite"
    assert answers.is_file()


def test_ctrl_c_lets_the_run_finish(daemons) -> None:
    one = daemons(own_group=True)
    events = one.client.events(small_spec(), PATH)
    while next(events)["event"] != "started":
        pass
    os.killpg(one.process.pid, signal.SIGINT)
    assert [event["event"] for event in events][-1] == "complete"
    one.process.wait(40)


def test_a_wrong_adapter_leaves_nothing_on_the_model(daemon: Daemon, tmp_path: Path) -> None:
    folder = Path(daemon.process.args[-1])
    shutil.copytree(QUICKSTART / "adapters" / "healthy", folder / "wrong")
    weights = load_file(folder / "wrong" / "adapter_model.safetensors")
    for tensor in weights.values():
        tensor.fill_(math.nan)
    save_file(weights, folder / "wrong" / "adapter_model.safetensors")
    wrong = small_spec()
    wrong["models"]["ft"]["adapter"] = str(folder / "wrong")
    verdicts = [probe["verdict"] for probe in daemon.client.run(wrong, PATH)["probes"]]
    assert set(verdicts) == {"error"}
    assert daemon.client.run(small_spec(), PATH)["score"]["overall"] > 0
