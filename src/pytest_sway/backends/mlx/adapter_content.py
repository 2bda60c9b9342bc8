"""What an adapter changes, module by module, whichever of the two formats it was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mlx.core as mx
import numpy as np

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.null_weights import Array, product_norm

FILE_BROKEN = (
    "the training diverged, or numbers overflowed when the file was saved; save the weights again, or "
    "repeat the training"
)


_EMBEDDINGS = ("embed_tokens", "wte", "embeddings", "word_embeddings", "tok_embeddings")
"""Names of token embeddings in the models of mlx-lm."""


def is_embedding(name: str) -> bool:
    """Whether a module is the model's token embedding, by its name."""
    return name.rpartition(".")[2] in _EMBEDDINGS


class ConversionError(BackendError):
    """An adapter that cannot be read, or that the other format cannot hold."""


@dataclass(frozen=True)
class LoraUpdate:
    """The update of one module: ``scaling``·B·A, in the shapes of PEFT.

    Attributes:
        a: A, ``[rank, in]``; of the experts of a layer ``[experts, rank, in]``.
        b: B, ``[out, rank]``, or ``[experts, out, rank]``.
        scaling: factor on B·A.
        magnitude: of DoRA: the norm that each row of the changed weight has, ``[out]``.
    """

    a: mx.array
    b: mx.array
    scaling: float
    magnitude: mx.array | None = None

    @property
    def rank(self) -> int:
        """Columns of B."""
        return int(self.b.shape[-1])

    @property
    def has_experts(self) -> bool:
        """Whether it is of all experts of a layer."""
        return bool(self.a.ndim == 3)

    @property
    def changes(self) -> bool:
        """Whether B·A is not zero."""
        a, b = as_array(self.a), as_array(self.b)
        pairs = zip(a, b, strict=True) if self.has_experts else [(a, b)]
        return bool(self.scaling) and any(product_norm(*pair) > 0.0 for pair in pairs)

    @property
    def is_finite(self) -> bool:
        """Whether no number is NaN or infinite."""
        parts = [self.a, self.b, *([] if self.magnitude is None else [self.magnitude])]
        return all(bool(mx.isfinite(part).all()) for part in parts)


Updates = Mapping[str, LoraUpdate]
"""By the module's name in the model."""


@dataclass(frozen=True)
class AdapterContent:
    """An adapter's folder, read.

    Attributes:
        folder: where it is.
        updates: what it changes.
        config: its ``adapter_config.json``.
        whole: tensors of the base that the file holds too, by their names in the base: copies, or trained.
        changes_tied_head: whether the update of an embedding also counts in a head that is tied to it, as
            mlx-lm has it and PEFT has not.
        notes: what a reader of the report should know.
    """

    folder: Path
    updates: Updates
    config: Mapping[str, object]
    changes_tied_head: bool
    whole: Mapping[str, mx.array] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    @property
    def is_dora(self) -> bool:
        """Whether modules have magnitudes."""
        return any(update.magnitude is not None for update in self.updates.values())

    @property
    def commonest_scaling(self) -> float:
        """Of the modules whose own is not 0; 0 where there are none."""
        scalings = [update.scaling for update in self.updates.values()]
        return max(filter(None, scalings), key=scalings.count, default=0.0)

    def check_finite(self) -> None:
        """Raise BackendError where a number is NaN or infinite."""
        broken = [name for name, update in self.updates.items() if not update.is_finite]
        if broken:
            raise ConversionError(
                f"the adapter {self.folder} is broken: {len(broken)} of {len(self.updates)} modules contain "
                f"NaN or infinity (first: {broken[0]}); {FILE_BROKEN}"
            )


def as_array(found: mx.array) -> Array:
    """As numpy, in fp32."""
    return np.array(found.astype(mx.float32))


def read_safetensors(path: Path) -> dict[str, mx.array]:
    """The tensors of a file, by name.

    Raises:
        ConversionError: it cannot be read.
    """
    try:
        found = mx.load(str(path), format="safetensors")
    except Exception as error:
        raise ConversionError(f"{path} cannot be read: {error}") from error
    assert isinstance(found, dict)  # of this format mlx gives nothing else
    return dict(sorted(found.items()))  # mlx gives them in any order
