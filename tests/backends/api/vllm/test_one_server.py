"""The same numbers and verdicts through vLLM as by transformers with PEFT; nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from pytest_sway.backends.api.load_backend import load_backend
from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from tests.backends.api.test_answers import HEALTHY, requests_of
from tests.known_adapters.battery import FIRST, spec
from tests.known_adapters.evaluation import evaluate
from tests.support.both_backends import assert_same_answers
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import BASE
from tests.support.same_verdicts import KINDS, assert_same_verdicts
from tests.support.vllm_server import VLLMServer

ADAPTERS = {name: QUICKSTART / "adapters" / name for name in ("healthy", "random", "inert")}


def names(server: VLLMServer) -> list[str]:
    return [model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]]


def test_answers_are_those_of_transformers(vllm: VLLMServer, reference: HFBackend, tmp_path: Path) -> None:
    key = ModelKey("api", "base", endpoint=vllm.url, tokenizer=str(BASE), null_dir=str(tmp_path))
    backend = load_backend(key)
    try:
        assert_same_answers(backend, reference, HEALTHY, requests_of)
    finally:
        backend.close()
    assert names(vllm) == ["base"]
    assert list(tmp_path.iterdir()) == []


def suite(kind: str, **fields: Any) -> dict[str, Any]:
    whole = spec(FIRST, BASE, runs=20, profile="quick")
    for side in whole["models"].values():
        side |= {"kind": kind, **fields}
    whole["suite"] = [entry for entry in whole["suite"] if entry["kind"] in KINDS]
    return whole


def test_verdicts_with_twenty_nulls_are_those_of_hf(vllm: VLLMServer, tmp_path: Path) -> None:
    reports = {}
    for kind, fields in (
        ("hf", {}),
        ("api", {"base": "base", "endpoint": vllm.url, "tokenizer": str(BASE), "null_dir": str(tmp_path)}),
    ):
        folder = tmp_path / f"run-{kind}"
        folder.mkdir()
        reports[kind] = evaluate(suite(kind, **fields), ADAPTERS, folder)
    for adapter in ADAPTERS:
        assert_same_verdicts(reports["hf"][adapter], reports["api"][adapter])
    assert names(vllm) == ["base"]
    assert not list(tmp_path.glob("sway-*"))
