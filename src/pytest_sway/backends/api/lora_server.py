"""Has a server load and forget LoRA adapters while it runs: by vLLM's routes, or by its folder resolver."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_sway.backends.api.adapter_directory import PREFIX, AdapterDirectory
from pytest_sway.backends.api.answers import refusal_text
from pytest_sway.backends.api.client import CompletionsClient, UnservedModelError
from pytest_sway.backends.api.http_session import ServerLostError
from pytest_sway.backends.base import BackendError
from pytest_sway.requests import RequestError

_LOAD, _UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
_REPLICA_TRIES = 8
HOW_TO_START = (
    "start vLLM with --enable-lora --max-lora-rank R --lora-target-modules M… and the environment variable "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
)


class LoraServer:
    """The adapters of one run on one server.

    Args:
        client: asks the server.
        directory: where the server finds the folders.
    """

    def __init__(self, client: CompletionsClient, directory: AdapterDirectory) -> None:
        self._client = client
        self._directory = directory
        self._resolves = self._has_ended = self._keeps = False
        directory.clean_up(self._unload)

    def load_first(self, name: str) -> None:
        """Load a run's first adapter, by whichever way this server knows.

        Raises:
            BackendError: there is none.
        """
        self._resolves = self._answers(name)
        if not self._resolves:
            self._load_folder(name)
        missed = sum(not self._answers(name) for _ in range(_REPLICA_TRIES))
        if missed:
            raise BackendError(
                f"{missed} of {_REPLICA_TRIES} requests did not find an adapter that the server had loaded. "
                "The server has several replicas, and each has its own list of adapters. Start each replica "
                "with VLLM_PLUGINS=lora_filesystem_resolver and "
                "VLLM_LORA_RESOLVER_CACHE_DIR=<models.ft.null_dir>"
            )

    def load_missing(self, names: Iterable[str]) -> None:
        """Have the server know these adapters; it may have been restarted meanwhile.

        Raises:
            BackendError: it cannot load one.
        """
        if self._resolves:
            return
        known = {model.id for model in self._client.models()}
        for name in names:
            if name not in known:
                self._load_folder(name)

    def forget(self, name: str) -> None:
        """Unload an adapter, then remove its folder: a server that looks for a folder that is gone, ends."""
        if self._unload(name):
            self._directory.remove(name)

    def close(self) -> None:
        """Forget every adapter of this run."""
        self._directory.close(self._unload)

    def _answers(self, name: str) -> bool:
        """Whether the server knows an adapter when it is asked for it."""
        try:
            self._client.ping(name)
        except UnservedModelError:
            return False
        except RequestError as error:
            raise BackendError(f"the server found the adapter folder but cannot load it: {error}") from error
        return True

    def _load_folder(self, name: str) -> None:
        path = self._directory.server_path(name)
        answer = self._client.session.post(_LOAD, {"lora_name": name, "lora_path": path}, repeats=False)
        reason = refusal_text(answer.content)
        if answer.status == 200 or (answer.status == 400 and "already" in reason):
            return
        if answer.status in (404, 405) and PREFIX not in reason:
            raise BackendError(f"the server does not support loading adapters at runtime; {HOW_TO_START}")
        raise BackendError(
            f"the server cannot load the adapter from {path}: {reason} (status {answer.status}). Either the "
            "server does not support this adapter (see the server's log), or it cannot access this folder. "
            "In the second case, set models.ft.null_dir to a shared folder and models.ft.null_dir_server to "
            "the path of this folder on the server"
        )

    def _unload(self, name: str) -> bool:
        """Have the server forget a name; whether its folder is not needed any more.

        A server that cannot be reached has ended, and one without the route is a folder resolver's: it looks
        for a folder when its name is asked for, and nobody asks for this one again.
        """
        if self._has_ended or self._keeps:
            return self._has_ended
        try:
            answer = self._client.session.post(_UNLOAD, {"lora_name": name})
        except ServerLostError:
            self._has_ended = True
            return True
        except (BackendError, RequestError):  # interrupted, or no answer that can be read
            self._keeps = True
        else:
            self._keeps = answer.status not in (200, 404, 405)
        return not self._keeps
