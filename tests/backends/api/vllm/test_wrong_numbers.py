"""Ways in which real vLLM answers wrongly, or ends, without a word: each is found before the first probe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_sway.backends.api.load_backend import load_backend
from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Request
from tests.backends.api.test_answers import HEALTHY, null, requests_of
from tests.support.both_backends import assert_same_answers, while_attached
from tests.support.peft_adapters import BASE, lora, save_adapter
from tests.support.vllm_server import VLLMServer, vllm_server


def key(server: VLLMServer, folder: Path, **fields: Any) -> ModelKey:
    known = {"endpoint": server.url, "tokenizer": str(BASE), "null_dir": str(folder / "nulls")}
    return ModelKey("api", "base", **{**known, **fields})


def refusal(server: VLLMServer, folder: Path, adapter: AdapterKey) -> str:
    backend = load_backend(key(server, folder))
    try:
        with pytest.raises(BackendError) as refused:
            backend.attach(adapter)
        return str(refused.value)
    finally:
        backend.close()


def test_a_base_beside_adapters(reference: HFBackend, tmp_path: Path) -> None:
    """With two slots vLLM on CPUs answers for the base up to 13.6 nats wrong; as an adapter of zeros it does
    not. Asked by the names of two models, the base is refused."""
    with vllm_server(tmp_path, {"--max-loras": ["2"], "--max-cpu-loras": ["4"]}) as server:
        backend = load_backend(key(server, tmp_path))

        def many(subject: Any) -> list[Request[Any]]:
            views = [subject.base, subject.tuned, *(null(subject, "gaussian", draw) for draw in range(8))]
            prompts = ("The master of the works is", "A lantern", "In the harbour")
            scored = [Completion(prompt, " Bram Hollis", view) for prompt in prompts for view in views]
            return [*scored, *(Divergence("The", subject.base, view) for view in views[1:])]

        assert_same_answers(backend, reference, HEALTHY, many)
        backend.close()
        for name in ("healthy", "random"):
            path = str(HEALTHY.with_name(name))
            body = {"lora_name": name, "lora_path": path}
            assert httpx.post(f"{server.url}/v1/load_lora_adapter", json=body).status_code == httpx.codes.OK
        assert "mixes up the models" in refusal(server, tmp_path, AdapterKey(None, "healthy"))


def test_modules_that_are_not_served(tmp_path: Path) -> None:
    with vllm_server(tmp_path, {"--lora-target-modules": ["q_proj", "v_proj"]}) as server:
        says = refusal(server, tmp_path, AdapterKey(str(HEALTHY)))
        assert "silently ignores the adapter's changes in down_proj, gate_proj, o_proj, up_proj" in says
        wide = save_adapter(tmp_path / "wide", lora(r=32, target_modules=["q_proj", "v_proj"]))
        assert "greater than max_lora_rank 16" in refusal(server, tmp_path, AdapterKey(str(wide)))
        names = [model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]]
    assert names == ["base"]
    assert list((tmp_path / "nulls").iterdir()) == []


def test_a_server_that_loads_nothing_and_names_twenty_tokens(tmp_path: Path) -> None:
    options = {"--max-logprobs": None}
    with vllm_server(tmp_path, options, {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "False"}) as server:
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in refusal(server, tmp_path, AdapterKey(str(HEALTHY)))
        backend = load_backend(key(server, tmp_path))
        facts = backend._base.facts
        assert (facts.top, facts.vocabulary, facts.names_chosen) == (20, 0, True)
        backend.close()


def test_twenty_tokens_decide_as_all_do(reference: HFBackend, tmp_path: Path) -> None:
    """With vLLM's own default every divergence is a lower bound, near the whole one for a large effect."""
    with vllm_server(tmp_path, {"--max-logprobs": None}) as server:
        backend = load_backend(key(server, tmp_path))
        found = []
        for one in (backend, reference):
            with while_attached(one, HEALTHY) as subject:
                asked = [
                    Divergence(prompt, subject.base, subject.tuned, "js", (476, 359, 296))
                    for prompt in ("The master of the works is", "A lantern", "In the harbour", "Salt", "Who")
                ] * 8
                answers = Engine(one).answer(asked)
                found.append([answers[request] for request in asked])
        backend.close()
    assert all(0.3 * whole < lumped < whole for lumped, whole in zip(*found, strict=True))


def test_an_engine_that_ends_by_what_it_was_started_with(tmp_path: Path) -> None:
    """Without named modules the head is wrapped, and the scores of two texts in one step end the engine."""
    with vllm_server(tmp_path, {"--lora-target-modules": None}) as server:
        try:
            says = refusal(server, tmp_path, AdapterKey(str(HEALTHY)))
        except BackendError as error:  # it ended before the adapter was asked for
            says = str(error)
    assert "--lora-target-modules" in says


def test_a_half_precision_server(reference: HFBackend, tmp_path: Path) -> None:
    """bf16: nats differ from fp32's in the second digit, and the handshake takes them for what they are."""
    with vllm_server(tmp_path, {"--dtype": ["bfloat16"]}) as server:
        backend = load_backend(key(server, tmp_path, dtype="bf16"))
        subject = backend.attach(AdapterKey(str(HEALTHY)))
        asked = Divergence("The master of the works is", subject.base, subject.tuned)
        found = Engine(backend).answer([asked])[asked]
        backend.detach(subject)
        backend.close()
    other = reference.attach(AdapterKey(str(HEALTHY)))
    same = Divergence(asked.prompt, other.base, other.tuned)
    assert found == pytest.approx(Engine(reference).answer([same])[same], rel=0.1)
    reference.detach(other)


def test_requests_of_the_first_test_again_on_a_fresh_server(vllm: VLLMServer, reference: HFBackend) -> None:
    """No stale prefix: the same adapter in a second run of one server has names of its own."""
    for _ in range(2):
        backend = load_backend(ModelKey("api", "base", endpoint=vllm.url, tokenizer=str(BASE)))
        assert_same_answers(backend, reference, HEALTHY, requests_of)
        backend.close()
