"""An adapter's tensors: read, told from the base's own, and every one accounted for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file

from pytest_sway.backends.hf.adapters import AdapterFiles
from pytest_sway.backends.protocols import BackendError

SUBJECT = "subject"
"""The adapter's name inside PEFT."""
State = dict[str, torch.Tensor]


def tensors(files: AdapterFiles) -> State:
    """Everything that the adapter's file holds, under PEFT's names."""
    try:
        state: State = load_file(files.weights)
    except Exception as error:
        raise BackendError(
            f"{files.weights} does not fit the base model: it cannot be read: {error}"
        ) from error
    return state


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
    return key.removeprefix("base_model.model.").replace(".base_layer.", ".")


def accounted(files: AdapterFiles, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raise unless nothing is missing and nothing is left over."""
    lost, left = sorted(missing), sorted(unexpected)
    if lost or left:
        raise BackendError(
            f"{files.weights} is not the adapter that {files.folder.name}/adapter_config.json describes: "
            f"{_some(lost, 'missing')}; {_some(left, 'unexpected')}"
        )


def _some(keys: list[str], word: str) -> str:
    return f"{len(keys)} {word} tensors" + (f" (first: {keys[0]})" if keys else "")


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
            raise BackendError(f"{folder} does not fit the base model: {first}") from error
