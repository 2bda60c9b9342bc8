"""Which server answers, and why some cannot score a prompt however they are asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pytest_sway.backends.api.answers import ServedModel, Version
from pytest_sway.backends.api.http_session import HttpSession, ServerAnswer
from pytest_sway.backends.server_json import decode_answer

_NO_SCORES = "does not return log-probabilities of prompt tokens"
_USE_FILES = "evaluate the model files with kind: hf or kind: gguf"
UNSUPPORTED = {
    "OpenAI": "OpenAI's hosted models do not return log-probabilities of prompts (echo with logprobs is "
    "rejected), so their fine-tunes cannot be evaluated",
    "Ollama": f"Ollama {_NO_SCORES}; evaluate its GGUF file and the adapter folder with kind: gguf",
    "LM Studio": f"LM Studio {_NO_SCORES}; {_USE_FILES}",
    "mlx_lm.server": f"mlx_lm.server {_NO_SCORES} and does not accept token ids; {_USE_FILES}",
    "transformers serve": "the server `transformers serve` ignores the fields echo and logprobs of a "
    "request and does not accept token ids; "
    f"{_USE_FILES}",
    "TGI": f"Text Generation Inference {_NO_SCORES} in OpenAI's format; {_USE_FILES}",
    "llama-server": f"llama.cpp's llama-server {_NO_SCORES} over this API; use kind: gguf, which can "
    "use this server or start its own, and obtains log-probabilities with a grammar of token ids",
    "llama-cpp-python": "llama-cpp-python's server accepts only text and no token ids; "
    "evaluate its GGUF file with kind: gguf",
}
"""Servers that are recognised and refused, each with the reason."""
_OWNERS = {"llamacpp": "llama-server", "library": "Ollama", "organization_owner": "LM Studio"}
"""By ``owned_by`` in the list of models."""


def unsupported_server(session: HttpSession) -> str:
    """Which of the servers in ``UNSUPPORTED`` answers; empty for any other."""
    if (urlsplit(session.url).hostname or "").endswith("openai.com"):
        return "OpenAI"
    listed = session.get("/v1/models")
    if listed.status == 200 and not listed.content:
        return "mlx_lm.server"
    entries = _entries(listed)
    owners = {str(entry.get("owned_by", "")) for entry in entries}
    for owner, name in _OWNERS.items():
        if owner in owners:
            return name
    if owners == {"local"} and all("status" in entry for entry in entries):
        return "transformers serve"
    if owners == {"me"}:
        return "llama-cpp-python"
    if b"Ollama is running" in session.get("/").content:
        return "Ollama"
    info = session.get("/info")
    return "TGI" if info.status == 200 and b'"docker_label"' in info.content else ""


def server_version(session: HttpSession, models: Sequence[ServedModel]) -> str:
    """Engine and version, as far as it says."""
    name = "vLLM" if any(model.owned_by == "vllm" for model in models) else "OpenAI-compatible server"
    answer = session.get("/version")
    try:
        if answer.status == 200:
            return f"{name} {decode_answer(answer.content, Version).version}"
    except msgspec.MsgspecError:
        pass
    return name


def _entries(answer: ServerAnswer) -> list[dict[str, Any]]:
    """The list of models as plain values: of other servers it has other fields."""
    try:
        found = json.loads(answer.content)["data"]
        return [entry for entry in found if isinstance(entry, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
