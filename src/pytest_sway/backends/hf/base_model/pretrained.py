"""Loads a model from its folder, and checks that every tensor was loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.base_model.checkpoint import Checkpoint, read_checkpoint
from pytest_sway.backends.hf.base_model.loading_report import LoadingReport, check_report
from pytest_sway.backends.hf.base_model.mismatch_causes import missing_expert
from pytest_sway.backends.hf.base_model.quantization import (
    Quantization,
    find_quantization,
    use_dequantized_weights,
)
from pytest_sway.backends.hf.error_text import error_line
from pytest_sway.backends.progress_bars import progress_bars_off
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG

_NO_ADAPTER = {"subfolder": "no-adapter"}
"""Makes transformers look for an adapter in a folder that no model has, so that it attaches none."""


@dataclass(frozen=True)
class PretrainedModel:
    """A model in memory and the files that it came from.

    Attributes:
        model: on the CPU; a quantized one on its device.
        checkpoint: its files.
        notes: what a reader of the report should know of how it was loaded.
        quantization: of its linear layers, and whether the files hold it; None for none.
    """

    model: Any
    checkpoint: Checkpoint
    notes: tuple[str, ...]
    quantization: Quantization | None = None


def load_pretrained(
    folder: Path,
    dtype: Any,
    *,
    trust_remote_code: bool = False,
    quantization: str | None = None,
    device: Any = "cpu",
) -> PretrainedModel:
    """A causal language model from safetensors alone, without progress bars.

    An adapter that lies in the folder is not attached.

    Args:
        folder: of the model.
        dtype: of torch.
        trust_remote_code: whether the spec lets it bring its own code.
        quantization: to what it is quantized as it is loaded, unless its files are; see
            :mod:`~pytest_sway.backends.hf.base_model.quantization`.
        device: where a quantized model is loaded to; any other is loaded on the CPU.

    Raises:
        BackendError: the files are not whole, are of another kind of model, are quantized in a way that is
            not served, or do not hold exactly the model's tensors.
    """
    import transformers

    checkpoint = read_checkpoint(folder)
    quantized = find_quantization(folder, checkpoint.config, quantization)
    extra = {} if quantized is None else quantized.loading_arguments(dtype, device)
    with progress_bars_off(), _quiet_log(), _loading_errors(checkpoint):
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # what does not fit is refused below, by name
            adapter_kwargs=_NO_ADAPTER,
            **extra,
        )
    if getattr(model, "_hf_peft_config_loaded", False):
        raise BackendError(
            f"{folder} contains an {ADAPTER_CONFIG}, and the installed transformers loaded that adapter into "
            "the model; move the adapter files to a separate folder, or install transformers 5"
        )
    notes = check_report(model, LoadingReport.of(info, model, checkpoint), checkpoint)
    if quantized is not None:
        use_dequantized_weights(model, dtype)
    return PretrainedModel(model, checkpoint, notes, quantized)


@contextmanager
def _quiet_log() -> Iterator[None]:
    """No warnings of transformers: they repeat names of tensors, and what differs is refused below."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def _loading_errors(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn errors of transformers into one line, with their cause: another error, or a missing expert."""
    try:
        yield
    except Exception as error:
        causes = [error_line(error)]
        hidden = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if hidden is not None and str(hidden) not in str(error):
            causes.append(error_line(hidden))
        message = "; caused by ".join(causes)
        if expert := missing_expert(checkpoint.shapes):
            message = f"{expert}; transformers says: {message}"
        raise BackendError(f"{checkpoint.folder}: {message}") from error
