"""Two replicas behind a router, and a server that is killed while a probe asks it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from pytest_sway.backends.api.load_backend import load_backend
from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from tests.backends.api.test_answers import HEALTHY, requests_of
from tests.support.both_backends import assert_same_answers
from tests.support.peft_adapters import BASE
from tests.support.vllm_server import VLLMServer, free_port, router, vllm_server, wait_for

PROMPTS = ["The master of the works is", "A lantern", "In the harbour", "Once upon a time", "Salt", "Who is"]


@pytest.fixture(scope="module")
def null_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nulls")


@pytest.fixture(scope="module")
def replicas(null_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[VLLMServer]]:
    """Both find adapters in one folder."""
    setting = {"VLLM_PLUGINS": "lora_filesystem_resolver", "VLLM_LORA_RESOLVER_CACHE_DIR": str(null_folder)}
    folder = tmp_path_factory.mktemp("logs")
    few = {
        "--max-loras": ["2"],
        "--max-cpu-loras": ["4"],
    }  # older adapters go, their folders are gone by then
    with vllm_server(folder, few, setting) as first, vllm_server(folder, few, setting) as second:
        yield [first, second]


def test_two_replicas_behind_a_router(
    replicas: list[VLLMServer], null_folder: Path, reference: HFBackend, tmp_path: Path
) -> None:
    with router(tmp_path, replicas) as front:
        backend = load_backend(
            ModelKey("api", "base", endpoint=front.url, tokenizer=str(BASE), null_dir=str(null_folder))
        )
        for _ in range(2):
            assert_same_answers(backend, reference, HEALTHY, requests_of)
        backend.close()
        listed = [
            [model["id"] for model in httpx.get(f"{one.url}/v1/models").json()["data"]] for one in replicas
        ]
    assert list(null_folder.iterdir()) == []
    assert all("base" in names for names in listed)


def test_replicas_without_a_resolver_are_refused(replicas: list[VLLMServer], tmp_path: Path) -> None:
    """Their folder is another one than ours, so one of them alone loads an adapter."""
    with router(tmp_path, replicas) as front:
        elsewhere = ModelKey(
            "api", "base", endpoint=front.url, tokenizer=str(BASE), null_dir=str(tmp_path / "other")
        )
        backend = load_backend(elsewhere)
        with pytest.raises(BackendError, match="lora_filesystem_resolver"):
            backend.attach(AdapterKey(str(HEALTHY)))
        backend.close()


def suite(endpoint: str, null_folder: Path) -> dict[str, Any]:
    side = {"kind": "api", "base": "base", "endpoint": endpoint, "tokenizer": str(BASE)}
    side |= {"null_dir": str(null_folder), "revision": "quickstart"}
    return {
        "version": 1,
        "models": {"base": side, "ft": {**side, "adapter": str(HEALTHY)}},
        "suite": [
            {"name": "nulls", "kind": "null_adapter", "runs": 20},
            {"name": "dk", "kind": "delta_kl", "prompts": PROMPTS},
        ],
    }


def run(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "sway.yaml", "--sway-json=out.json"]
    setting = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    for name in ("SWAY_DISABLE_NULL_CACHE", "SWAY_NULL_CACHE_DIR"):
        setting.pop(name, None)
    return subprocess.Popen(
        command, cwd=folder, env=setting, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def probe(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        one["name"]: one for one in json.loads((folder / "out.json").read_text("utf-8"))["probes"]
    }
    return found[name]


def test_a_server_that_is_killed_while_a_probe_asks_it(tmp_path: Path) -> None:
    port, null_folder = free_port(), tmp_path / "nulls"
    with vllm_server(tmp_path, port=port) as server:
        (tmp_path / "sway.yaml").write_text(yaml.safe_dump(suite(server.url, null_folder)), "utf-8")
        going = run(tmp_path)
        cache = tmp_path / "cache" / "pytest-sway" / "answers-3.sqlite"
        threading.Thread(target=going.stdout.read if going.stdout else time.sleep, daemon=True).start()
        end = time.monotonic() + 120
        while time.monotonic() < end and not (cache.exists() and _answers(cache) > 10):
            time.sleep(0.2)
        server.kill()
        assert going.wait(120) == 1
    dk = probe(tmp_path, "dk")
    assert dk["verdict"] == "error"
    assert "does not answer" in dk["message"]
    assert "run the suite again (the answers so far are cached)" in dk["message"]
    kept = _answers(cache)
    with vllm_server(tmp_path, port=port) as server:
        wait_for(server)
        again = run(tmp_path)
        output = again.communicate(timeout=300)[0].decode()
        names = [model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]]
    assert again.returncode == 0, output
    assert probe(tmp_path, "dk")["verdict"] == "pass"
    assert _answers(cache) > kept > 10
    assert names == ["base"]
    assert not list(null_folder.glob("sway-*"))


def _answers(cache: Path) -> int:
    try:
        with sqlite3.connect(f"file:{cache}?mode=ro", uri=True) as base:
            count: int = base.execute("SELECT count(*) FROM answers").fetchone()[0]
            return count
    except sqlite3.Error:
        return 0
