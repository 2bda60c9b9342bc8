"""The tensors of an adapter's file: read, separated from the base's own, and checked against PEFT's."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.tensor_names import PREFIX
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG

SUBJECT = "subject"
"""The adapter's name inside PEFT; no message shows it."""
StateDict = dict[str, torch.Tensor]


def read_tensors(files: AdapterFiles) -> StateDict:
    """Everything that the adapter's file holds, under the names that PEFT writes.

    Raises:
        BackendError: the file cannot be read.
    """
    try:
        tensors: StateDict = load_file(files.weights)
    except Exception as error:
        raise BackendError(f"{files.weights} cannot be read: {error}") from error
    return {files.names[key]: tensor for key, tensor in tensors.items() if key in files.names}


def drop_base_tensors(model: torch.nn.Module, state: StateDict) -> tuple[StateDict, list[str]]:
    """The state without copies of the base's tensors, and the names of base tensors that it changes.

    PEFT saves the full embeddings with some adapters; loading them would change the base.
    """
    own = {base_path(key): tensor for key, tensor in model.state_dict().items()}  # it may be wrapped
    kept, changed = {}, []
    for key, tensor in state.items():
        name = base_path(key)
        if ".lora_" in key or name not in own:
            kept[key] = tensor
        elif tensor.shape != own[name].shape or not torch.equal(tensor.to(own[name]), own[name]):
            changed.append(name)
    return kept, changed


def base_path(key: str) -> str:
    """The base's name of a tensor, by its key in the file."""
    return key.removeprefix(PREFIX).replace(".base_layer.", ".")


def check_complete(files: AdapterFiles, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raise BackendError where a tensor is missing or unexpected."""
    absent, extra = sorted(map(_as_saved, missing)), sorted(map(_as_saved, unexpected))
    if absent or extra:
        raise BackendError(
            f"{files.weights} does not match the adapter that {ADAPTER_CONFIG} describes for this base "
            f"model: {_count_and_first(absent, 'missing')}; {_count_and_first(extra, 'unexpected')}"
            f"{_task_hint(files)}"
        )


def check_shapes(files: AdapterFiles, state: StateDict, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise BackendError unless every tensor has the shape that it has on this base.

    Args:
        files: the adapter.
        state: its tensors.
        expected: PEFT's own for this config and this base, under the same names.
    """
    wrong = sorted(key for key in state.keys() & expected.keys() if state[key].shape != expected[key].shape)
    if wrong:
        first = wrong[0]
        raise BackendError(
            f"{files.weights} does not fit the base model: {len(wrong)} of {len(state)} tensors have the "
            f"wrong shape (first: {first} has the shape {list(state[first].shape)}, but {ADAPTER_CONFIG} and "
            f"the base model require {list(expected[first].shape)}); use the base model that the adapter was "
            "trained on"
            f"{_task_hint(files)}"
        )


def _as_saved(key: str) -> str:
    """The name in a file of a tensor inside PEFT."""
    return key.replace(f".{SUBJECT}.", ".").removesuffix(f".{SUBJECT}")


def _count_and_first(keys: list[str], word: str) -> str:
    return f"{len(keys)} {word} tensors" + (f" (first: {keys[0]})" if keys else "")


def _task_hint(files: AdapterFiles) -> str:
    """What the config says of the model that the adapter was trained on, where it is of another kind."""
    task = files.config.get("task_type")
    if task in (None, "CAUSAL_LM"):
        return ""
    return f"; the adapter's task_type is {task}, but only causal language models can be evaluated"


@contextmanager
def peft_errors(folder: Path) -> Iterator[None]:
    """Turn errors of PEFT and torch into a BackendError of one line, and silence their warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except BackendError:
            raise
        except Exception as error:
            first = " ".join(str(error).strip().splitlines()[:2]) or type(error).__name__
            raise BackendError(
                f"PEFT cannot load {folder} onto the base model: {_as_saved(first)}"
            ) from error
