"""A real HTTP server with vLLM's routes, whose numbers are those of transformers with PEFT.

Real vLLM runs in the lane ``-m vllm``. This one is there within a second, and can misbehave as
real servers were seen to.
"""

from __future__ import annotations

import copy
import functools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support.paths import QUICKSTART

BASE = QUICKSTART / "base"
Reply = tuple[int, Any]
Override = Callable[["CompletionsServer", str, dict[str, Any]], Reply | None]


@functools.cache
def _quickstart() -> tuple[Any, Any]:
    """Tokenizer and model, read once for all servers."""
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()
    return AutoTokenizer.from_pretrained(BASE), model


class CompletionsServer:
    """The model, and what was asked of it.

    Attributes:
        adapters: the folder of each adapter that is loaded.
        asked: path and body of every request.
        at_once: path of every request that is being answered.
        override: looked at before every answer; where it returns one, that is sent.
        max_logprobs: tokens of a distribution at most; −1 for all.
        dropped: kinds of modules of which an adapter's part is left out.
        context: tokens of a text at most.
        names_chosen: whether it gives the log-probabilities of chosen tokens.
        resolver: folder in which adapters are found by their names.
        loads_adapters: whether it has the routes for it.
        replicas: servers behind this address, each with a list of adapters of its own.
    """

    def __init__(self) -> None:
        self.tokenizer, model = _quickstart()
        self.model: Any = copy.deepcopy(model)  # PEFT changes it
        self.adapters: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.at_once: list[str] = []
        self.override: Override = lambda *_: None
        self.max_logprobs = -1
        self.dropped: frozenset[str] = frozenset()
        self.resolver: Path | None = None
        self.loads_adapters = True
        self.replicas = 1
        self.temperature = 1.0
        self.context = 1024
        self.names_chosen = True
        self.url = ""
        self._lock = threading.Lock()
        self._turn = 0
        self._scored: dict[Any, torch.Tensor] = {}

    def reply(self, path: str, body: dict[str, Any]) -> Reply:
        """Status and content."""
        self.asked.append((path, body))
        self.at_once.append(path)
        try:
            found = self.override(self, path, body)
            return found if found is not None else self.true_answer(path, body)
        finally:
            self.at_once.pop()

    def true_answer(self, path: str, body: dict[str, Any]) -> Reply:
        """What a good server answers."""
        routes = {
            "/version": self._version,
            "/v1/models": self._models,
            "/tokenize": self._tokenize,
            "/v1/completions": self._complete,
        }
        if self.loads_adapters:
            routes |= {
                "/v1/load_lora_adapter": self._load_adapter,
                "/v1/unload_lora_adapter": self._unload_adapter,
            }
        return routes[path](body) if path in routes else (404, {"detail": "Not Found"})

    def _version(self, body: dict[str, Any]) -> Reply:
        return 200, {"version": "0.32.0"}

    def _models(self, body: dict[str, Any]) -> Reply:
        base: dict[str, Any] = {"id": "base", "owned_by": "vllm", "root": str(BASE), "parent": None}
        base["max_model_len"] = self.context
        loaded = [{**base, "id": name, "root": at, "parent": "base"} for name, at in self.adapters.items()]
        return 200, {"object": "list", "data": [base, *loaded]}

    def _tokenize(self, body: dict[str, Any]) -> Reply:
        ids = self.tokenizer(body["prompt"], add_special_tokens=body["add_special_tokens"]).input_ids
        return 200, {"count": len(ids), "max_model_len": 1024, "tokens": ids}

    def _load_adapter(self, body: dict[str, Any]) -> Reply:
        name, path = body["lora_name"], body["lora_path"]
        if name in self.adapters:
            return error(400, f"The lora adapter '{name}' has already been loaded.")
        if not Path(path, "adapter_config.json").is_file():
            return error(404, f"Loading lora {name} failed: No adapter found for {path}")
        self.add(name, path)
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def add(self, name: str, path: str) -> None:
        """Load an adapter's folder."""
        with self._lock:
            if isinstance(self.model, PeftModel):
                self.model.load_adapter(path, adapter_name=name)
            else:
                self.model = PeftModel.from_pretrained(self.model, path, adapter_name=name).eval()
            for key, tensor in self.model.named_parameters():
                if f".{name}." in key and any(f".{kind}." in key for kind in self.dropped):
                    tensor.data.zero_()
            self.adapters[name] = path

    def _unload_adapter(self, body: dict[str, Any]) -> Reply:
        name = body["lora_name"]
        if name not in self.adapters:
            return error(404, f"The lora adapter '{name}' cannot be found.")
        assert Path(self.adapters.pop(name)).is_dir()  # unloaded before it is deleted
        with self._lock:
            if self.adapters:
                self.model.delete_adapter(name)
        return 200, f"Success: LoRA adapter '{name}' removed successfully."

    def _complete(self, body: dict[str, Any]) -> Reply:
        name = body["model"]
        self._turn += 1
        folder = self.resolver / name if self.resolver is not None else None
        if folder is not None and name not in self.adapters and (folder / "adapter_config.json").is_file():
            self.add(name, str(folder))
        if name != "base" and (name not in self.adapters or self._turn % self.replicas):
            return error(404, f"The model `{name}` does not exist. Valid aliases: base.")
        asked = (body.get("logprobs"), body.get("prompt_logprobs"))
        wanted = max([4096 if one == -1 else one for one in asked if one is not None], default=0)
        if 0 <= self.max_logprobs < wanted:
            return error(
                400,
                f"Requested sample logprobs of {wanted}, which is greater than max allowed: "
                f"{self.max_logprobs} (parameter=logprobs, value={wanted})",
            )
        prompts = body["prompt"]
        if max(map(len, prompts)) >= self.context:
            return error(400, f"This model's maximum context length is {self.context} tokens.")
        choices = [self._choice(i, ids, body) for i, ids in enumerate(prompts)]
        written = sum(len(choice["token_ids"]) for choice in choices)
        usage = {"prompt_tokens": sum(map(len, prompts)), "completion_tokens": written}
        return 200, {"model": name, "choices": choices, "usage": usage}

    def _choice(self, index: int, ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
        rows = self.scores(body["model"], ids)
        written = [int(rows[-1].argmax())]
        while len(written) < body["max_tokens"] and written[-1] != 1:
            written.append(int(self.scores(body["model"], [*ids, *written])[-1].argmax()))
        choice: dict[str, Any] = {"index": index, "text": "", "finish_reason": "length"}
        choice["token_ids"], choice["prompt_token_ids"] = written, None
        if "prompt_logprobs" in body:
            forced = []
            for row, token in zip(rows, ids[1:], strict=False):
                named = [token, *row.topk(body["prompt_logprobs"]).indices.tolist()]
                forced.append({str(one): {"logprob": float(row[one])} for one in named})
            choice["prompt_logprobs"] = [None, *forced]
        if (count := body.get("logprobs")) is not None:
            last = torch.log_softmax(rows[-1] / self.temperature, -1)
            top = last.topk(len(last) if count < 0 else max(count, 1))
            likeliest = {f"token_id:{int(t)}": float(p) for p, t in zip(*top, strict=True)}
            for token in body.get("logprob_token_ids", []) if self.names_chosen else []:
                likeliest[f"token_id:{token}"] = float(last[token])
            choice["logprobs"] = {"tokens": [], "token_logprobs": [], "top_logprobs": [likeliest]}
        return choice

    def scores(self, name: str, ids: list[int]) -> torch.Tensor:
        """Log-probabilities behind each token, ``[tokens, vocabulary]``."""
        key = (self.adapters.get(name, name), tuple(ids))
        if key not in self._scored:
            self._scored[key] = self._forward(name, ids)
        return self._scored[key]

    def _forward(self, name: str, ids: list[int]) -> torch.Tensor:
        with self._lock, torch.no_grad():
            if name == "base":
                off = self.model.disable_adapter() if isinstance(self.model, PeftModel) else nullcontext()
                with off:
                    logits = self.model(torch.tensor([ids])).logits[0]
            else:
                self.model.set_adapter(name)
                logits = self.model(torch.tensor([ids])).logits[0]
        return torch.log_softmax(logits.float(), -1)


def error(status: int, message: str) -> Reply:
    """As vLLM words it."""
    return status, {"error": {"message": message, "type": "x", "param": None, "code": status}}


class _QuietServer(ThreadingHTTPServer):
    """Takes a client that resets its connection for one that has gone, and prints no traceback of it."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def running(server: CompletionsServer | Any) -> Iterator[Any]:
    """While it lasts, the server listens on a port of this machine; ``url`` says where."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer({**body, "_key": self.headers.get("Authorization", "")})

        def _answer(self, body: dict[str, Any]) -> None:
            status, content, *more = server.reply(self.path, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **(more[0] if more else {})}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(data)
            except OSError:  # the client has gone
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            del args

    listening = _QuietServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
