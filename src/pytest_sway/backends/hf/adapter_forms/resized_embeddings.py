"""Adapters whose embeddings or head have another number of rows than the base's.

Libraries pad the rows, or cut them to the tokenizer. Where every id of both tokenizers has a row on both
sides, the further rows do not matter: the adapter is merged into a base that is resized to its rows, and the
merged weights are cut or filled to the rows of the base.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles
from pytest_sway.backends.hf.adapter_files.adapter_tensors import StateDict, base_path
from pytest_sway.backends.hf.adapter_forms.weight_delta import TunedWeights
from pytest_sway.backends.hf.prompts.vocabulary import RESIZE_ADVICE, Vocabulary


def resized_rows(
    model: torch.nn.Module, files: AdapterFiles, state: StateDict, vocabulary: Vocabulary | None
) -> int | None:
    """The rows of the embeddings that an adapter carries, where they are others than the base's; else None.

    Args:
        model: the base.
        files: the adapter.
        state: its tensors.
        vocabulary: of both sides; None where no other number of rows is served.

    Raises:
        BackendError: a tensor of the base has another shape, and it is not only rows that no token uses.
    """
    own, tables = model.state_dict(), _embedding_paths(model)
    changed = {path: tensor for key, tensor in state.items() if (path := base_path(key)) in own}
    mismatched = {path: tensor for path, tensor in changed.items() if tensor.shape != own[path].shape}
    if not mismatched:
        return None
    for path, tensor in sorted(mismatched.items()):
        shapes = (
            f"{files.folder} contains {path} with shape {list(tensor.shape)}, but in the base model the "
            f"shape is {list(own[path].shape)}"
        )
        if path not in tables or tensor.shape[1:] != own[path].shape[1:]:
            raise BackendError(f"{shapes}; use the base model that the adapter was trained on")
        rows = {len(other) for other in mismatched.values()}
        if fault := _resize_fault(rows, len(own[path]), vocabulary):
            raise BackendError(f"{shapes}: {fault} {RESIZE_ADVICE}")
    return len(next(iter(mismatched.values())))


def _resize_fault(sizes: set[int], base_rows: int, vocabulary: Vocabulary | None) -> str:
    """Why tensors of these numbers of rows cannot be compared with the base's; empty where they can."""
    if vocabulary is None or len(sizes) > 1:
        return "the adapter was trained with a different vocabulary;"
    rows = max(sizes)
    if rows < vocabulary.needed_rows:
        return (
            f"the tokenizers of the adapter and the base model use token ids up to "
            f"{vocabulary.needed_rows - 1}, but the adapter's embedding matrix has only {rows} rows;"
        )
    if rows > base_rows and not vocabulary.has_own_tokenizer:
        return (
            "the adapter's folder contains no tokenizer that defines the tokens of the additional rows; add "
            "the tokenizer that was used in training to this folder, or"
        )
    return ""


def resize(model: Any, rows: int) -> None:
    """Give a model's embedding and head another number of rows, in place."""
    with torch.random.fork_rng(devices=[]):
        model.resize_token_embeddings(rows, mean_resizing=False)


def with_base_rows(model: torch.nn.Module, target: TunedWeights) -> TunedWeights:
    """A target with the base's number of rows: cut, or filled up with the base's own rows."""
    own = model.state_dict()
    state = dict(target.state)
    for path in _embedding_paths(model):
        base, new = own[path], state[path]
        filled = base[len(new) :].to(new.device, new.dtype)
        state[path] = torch.cat([new[: len(base)], filled])
    rows, base_rows = target.logits.shape[-1], len(own[path])
    treatment = "additional rows are ignored"
    if rows <= base_rows:
        treatment = "rows that the adapter lacks are taken from the base model"
    sizes = f"the adapter's embeddings have {rows} rows, and the base model's embeddings have {base_rows}"
    note = f"{sizes}; the {treatment}, because no token uses these rows"
    return replace(target, state=state, logits=target.logits[:, :base_rows], notes=(*target.notes, note))


def _embedding_paths(model: Any) -> list[str]:
    """Paths of the parameters that have a row for each id: of the embedding and of the head."""
    tables = [model.get_input_embeddings(), model.get_output_embeddings()]
    return [
        f"{name}.{parameter}"
        for name, module in model.named_modules(remove_duplicate=False)
        if any(module is table for table in tables)
        for parameter, _ in module.named_parameters(recurse=False)
    ]
