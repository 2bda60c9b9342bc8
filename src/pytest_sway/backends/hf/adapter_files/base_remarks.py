"""What a report says of the base of a training that may not be the one that is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import TrainedBase
from pytest_sway.backends.hf.adapter_files.declared_base import declared_base_mismatch
from pytest_sway.backends.hf.adapter_files.trained_quantization import (
    UNQUANTIZED,
    TrainedQuantization,
    trained_quantization,
)
from pytest_sway.backends.hf.base_model.base_model import BaseModel


@dataclass(frozen=True)
class BaseRemarks:
    """Sentences for the report.

    Attributes:
        warnings: that the adapter is known to be another base's; they lead the report.
        notes: the others.
        trained_base: the base of its training, where that is this one in another quantization.
    """

    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    trained_base: TrainedBase | None = None


def remarks_on_base(
    folder: Path, config: Mapping[str, Any], base: BaseModel, *, kind: str = "hf"
) -> BaseRemarks:
    """Compare the base that an adapter's files speak of with the one that is loaded.

    Args:
        folder: of the adapter.
        config: its ``adapter_config.json``.
        base: the model that it is put on.
        kind: that serves it.
    """
    mismatch = declared_base_mismatch(folder, config, base)
    # the name of the very base that is loaded says no more of it than its files do
    trained = trained_quantization(folder, config if mismatch is not None else {})
    is_known = base.checkpoint is not None and not base.is_gguf_file
    if trained is not None and is_known and (mismatch is None or mismatch.is_quantization):
        return BaseRemarks((), (), _trained_base(trained, base, kind))
    if mismatch is None:
        return BaseRemarks((), ())
    text = (mismatch.text,)
    return BaseRemarks(text, ()) if mismatch.is_certain else BaseRemarks((), text)


def _trained_base(trained: TrainedQuantization, base: BaseModel, kind: str) -> TrainedBase | None:
    ours = base.quantization or UNQUANTIZED
    if trained.name == ours or (trained.name == "nf4" and ours == "fp4"):  # files say 4 bits, not which
        return None
    remedy = f"set quantization: {trained.name} for models.base and models.ft"
    remedy = remedy if kind == "hf" else f"{remedy} and use kind: hf"
    if trained.name == UNQUANTIZED:
        remedy = "use the unquantized base model"
    theirs = (
        "the unquantized base model"
        if trained.name == UNQUANTIZED
        else f"the base model quantized as {trained.name}"
    )
    return TrainedBase(
        trained.name,
        f"the adapter was trained on {theirs} ({trained.source}), but the spec's base model is {ours}",
        f"{remedy} to evaluate the adapter on the weights that it was trained on",
    )
