"""A llama.cpp server in this process, from the wheel of xllamacpp."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xllamacpp

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.gguf.client import LlamaClient


class OwnedServer:
    """A server that ends with :meth:`close`; the list of its adapters is that of its start.

    Args:
        model: the GGUF file.
        adapters: GGUF adapters; the first one has the number 0.
        vocabulary: width of the logits.
        slots: texts that are read side by side.
        context: tokens of the longest text that a slot can hold.
        threads: of the whole server.

    Raises:
        BackendError: it does not start.
    """

    def __init__(
        self,
        model: Path,
        adapters: Sequence[Path],
        *,
        vocabulary: int,
        slots: int,
        context: int,
        threads: int,
    ) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 1.0) for path in adapters]
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32  # f16 moves 3e-4 nats
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.n_parallel, params.n_ctx = slots, slots * context
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.n_gpu_layers = 0
        params.fit_params = params.warmup = params.kv_unified = False
        params.cache_ram_mib = 0
        params.verbosity = -1
        params.hostnames, params.port = ["127.0.0.1"], 0
        try:
            self._server: Any = xllamacpp.Server(params)
        except RuntimeError as error:
            raise BackendError(f"llama.cpp cannot serve {model.name}: {error}") from error
        self.client = LlamaClient(self._server.listening_address, vocabulary, slots)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._server = None
