"""How a model is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ModelSpec:
    """A base model and an adapter.

    Attributes:
        base: a folder, or a name on the hub.
        kind: ``hf``.
        adapter: the adapter's folder.
        trust_remote_code: whether code in the model's repository may run.
    """

    base: str
    kind: str = "hf"
    adapter: Path | None = None
    trust_remote_code: bool = False
