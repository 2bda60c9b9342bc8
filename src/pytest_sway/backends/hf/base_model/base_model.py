"""Where the weights of the base model in memory came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_sway.backends.hf.base_model.checkpoint import Checkpoint


@dataclass(frozen=True)
class BaseModel:
    """Where the weights of a model in memory came from.

    Attributes:
        digest: of its files.
        name: the folder or hub id that the spec names.
        revision: that the spec pins on the hub.
        checkpoint: the files that it was loaded from; None for a model that was made in memory.
        trust_remote_code: whether the spec lets models bring their own code.
        notes: what a reader of the report should know of how it was loaded.
        quantization: of its linear layers: nf4, fp4 or int8; None for none.
        is_gguf_file: whether it is one file of llama.cpp, converted from a model.
    """

    digest: str
    name: str = ""
    revision: str | None = None
    checkpoint: Checkpoint | None = None
    trust_remote_code: bool = False
    notes: tuple[str, ...] = ()
    quantization: str | None = None
    is_gguf_file: bool = False

    @property
    def folder(self) -> Path | None:
        """Folder that the model was loaded from."""
        return self.checkpoint.folder if self.checkpoint is not None else None

    @property
    def files(self) -> tuple[Path, ...]:
        """Its weight files."""
        return self.checkpoint.files if self.checkpoint is not None else ()
