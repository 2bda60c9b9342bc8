"""Servers that cannot score a prompt are recognised by what they answered when they were run, and refused."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_sway.backends.api.load_backend import load_backend
from pytest_sway.backends.base import BackendError, ModelKey
from tests.support.completions_server import BASE, running


class Recorded:
    """Answers by path; anything else is not found."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.url = ""

    def reply(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(path)
        return (200, self.answers[path]) if path in self.answers else (404, {"detail": "Not Found"})


def models(owner: str, **more: Any) -> dict[str, Any]:
    return {"/v1/models": {"object": "list", "data": [{"id": "base", "owned_by": owner, **more}]}}


SERVERS = {
    "mlx_lm.server": {"/v1/models": b""},
    "transformers serve": models("local", status={"value": "loaded"}),
    "llama-server": models("llamacpp", meta={"n_vocab": 4096}),
    "llama-cpp-python": models("me"),
    "Ollama": models("library"),
    "LM Studio": models("organization_owner"),
    "Text Generation Inference": {**models("base"), "/info": {"model_id": "base", "docker_label": "sha-1"}},
}


@pytest.mark.parametrize("name", SERVERS)
def test_it_is_refused_by_name_with_the_reason(name: str) -> None:
    with running(Recorded(SERVERS[name])) as server, pytest.raises(BackendError) as refused:
        load_backend(ModelKey("api", "base", endpoint=server.url, tokenizer=str(BASE)))
    assert name in str(refused.value)
    assert "/v1/completions" not in server.asked


def test_ollama_says_its_name_where_it_lists_no_model() -> None:
    answers = {"/v1/models": {"object": "list", "data": []}, "/": b"Ollama is running"}
    with running(Recorded(answers)) as server, pytest.raises(BackendError, match="Ollama"):
        load_backend(ModelKey("api", "base", endpoint=server.url, tokenizer=str(BASE)))


def test_openai_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(
        BackendError, match="OpenAI's hosted models do not return log-probabilities of prompts"
    ):
        load_backend(ModelKey("api", "gpt-4o", endpoint="https://api.openai.com/v1", tokenizer=str(BASE)))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "models.ft.endpoint is missing"),
        ("127.0.0.1:8000", "found 127.0.0.1:8000; write the URL"),
        ("http://127.0.0.1:port", "write the URL"),
        ("http://me:secret@127.0.0.1:8000", "a URL with a user name"),
        ("http://:secret@127.0.0.1:8000", "a URL with a user name"),
        ("http://me:a#secret@127.0.0.1", "a URL with a user name"),
        ("http://127.0.0.1/?api_key=secret", "or a query"),
        ("http://[::1:8000", "write the URL"),
    ],
)
def test_an_endpoint_that_is_no_address(url: str | None, says: str) -> None:
    with pytest.raises(BackendError) as refused:
        load_backend(ModelKey("api", "base", endpoint=url, tokenizer=str(BASE)))
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


def test_nobody_listens(quick_retries: None) -> None:
    with pytest.raises(
        BackendError, match="the server at http://127.0.0.1:9 does not answer".replace(".", r"\.")
    ):
        load_backend(ModelKey("api", "base", endpoint="http://127.0.0.1:9", tokenizer=str(BASE)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"device": "cpu"}, "models.ft.device"), ({"trust_remote_code": True}, "models.ft.trust_remote_code")],
)
def test_fields_that_are_the_servers(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(BackendError, match=says):
        load_backend(ModelKey("api", "base", endpoint="http://127.0.0.1:9", **fields))
