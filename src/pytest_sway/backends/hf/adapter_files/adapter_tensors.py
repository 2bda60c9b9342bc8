"""An adapter's tensors: read, told from the base's own, and every one accounted for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import CONFIG, AdapterFiles
from pytest_sway.backends.hf.adapter_files.tensor_names import PREFIX

SUBJECT = "subject"
"""The adapter's name inside PEFT; no message shows it."""
State = dict[str, torch.Tensor]


def read_tensors(files: AdapterFiles) -> State:
    """Everything that the adapter's file holds, under the names that PEFT writes.

    Raises:
        BackendError: the file cannot be read.
    """
    try:
        found: State = load_file(files.weights)
    except Exception as error:
        raise BackendError(f"{files.weights} cannot be read: {error}") from error
    return {files.names[key]: tensor for key, tensor in found.items() if key in files.names}


def without_base(model: torch.nn.Module, state: State) -> tuple[State, list[str]]:
    """The state without what it repeats of the base, and the base's tensors that it holds *changed*.

    PEFT writes the embeddings of some adapters whole; loaded, they would be the base's from then on.
    """
    own = {path_of(key): tensor for key, tensor in model.state_dict().items()}  # it may be wrapped
    kept, changed = {}, []
    for key, tensor in state.items():
        name = path_of(key)
        if ".lora_" in key or name not in own:
            kept[key] = tensor
        elif tensor.shape != own[name].shape or not torch.equal(tensor.to(own[name]), own[name]):
            changed.append(name)
    return kept, changed


def path_of(key: str) -> str:
    """A key of the file as the base's own name of that tensor."""
    return key.removeprefix(PREFIX).replace(".base_layer.", ".")


def check_all_loaded(files: AdapterFiles, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raise unless nothing is missing and nothing is left over."""
    lost, left = sorted(map(_as_saved, missing)), sorted(map(_as_saved, unexpected))
    if lost or left:
        raise BackendError(
            f"{files.weights} does not hold the adapter that {CONFIG} describes on this base: "
            f"{_some(lost, 'missing')}; {_some(left, 'unexpected')}{_task(files)}"
        )


def fit_tensors(files: AdapterFiles, state: State, expected: Mapping[str, torch.Tensor]) -> None:
    """Raise unless every tensor has the shape that it has on this base.

    Args:
        files: the adapter.
        state: its tensors.
        expected: PEFT's own for this config and this base, under the same names.
    """
    wrong = sorted(key for key in state.keys() & expected.keys() if state[key].shape != expected[key].shape)
    if wrong:
        first = wrong[0]
        raise BackendError(
            f"{files.weights} does not fit the base model: {len(wrong)} of {len(state)} tensors have another "
            f"shape (first: {first} is {list(state[first].shape)}, with this {CONFIG} it is "
            f"{list(expected[first].shape)} on the base); name the base that it was trained on"
            f"{_task(files)}"
        )


def _as_saved(key: str) -> str:
    """A name inside PEFT as a file has it."""
    return key.replace(f".{SUBJECT}.", ".").removesuffix(f".{SUBJECT}")


def _some(keys: list[str], word: str) -> str:
    return f"{len(keys)} {word} tensors" + (f" (first: {keys[0]})" if keys else "")


def _task(files: AdapterFiles) -> str:
    """What the config says of the model that the adapter was trained on, where it is of another kind."""
    task = files.config.get("task_type")
    if task in (None, "CAUSAL_LM"):
        return ""
    return f"; its task_type is {task}, and causal language models are evaluated"


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """PEFT's and torch's own errors as one line; their warnings not at all, where we check and refuse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except BackendError:
            raise
        except Exception as error:
            first = " ".join(str(error).strip().splitlines()[:2]) or type(error).__name__
            raise BackendError(f"PEFT cannot put {folder} on the base model: {_as_saved(first)}") from error
