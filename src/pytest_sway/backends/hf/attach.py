"""From what a spec names to what is attached: first the files, then the form that serves them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf import adapter_config
from pytest_sway.backends.hf.adapter_tensors import read_tensors, without_base
from pytest_sway.backends.hf.device_map import refuse_spread
from pytest_sway.backends.hf.full_finetune import finetuned_update
from pytest_sway.backends.hf.hub_cache import adapter_folder
from pytest_sway.backends.hf.lora import Lora, plain_update
from pytest_sway.backends.hf.merged_adapter import merged_update
from pytest_sway.backends.hf.model_files import MODEL_FILES, files_digest, model_folder
from pytest_sway.backends.hf.per_expert_lora import is_per_expert, per_expert_update
from pytest_sway.backends.hf.pissa_conversion import converted_update
from pytest_sway.backends.hf.served_adapter import ServedAdapter
from pytest_sway.backends.hf.vocabulary import Vocabulary, own_code
from pytest_sway.backends.hf.weight_delta import weight_delta
from pytest_sway.spec.model_folders import listed

_HASHED = (adapter_config.CONFIG, adapter_config.WEIGHTS)


@dataclass(frozen=True)
class Source:
    """The files of a subject.

    Attributes:
        files: the adapter's; None for a full fine-tune without one.
        model: folder of the fine-tuned model; None where the adapter is on the base itself.
        digest: of all of them.
        trust_remote_code: whether the spec lets the fine-tuned model bring its own code.
    """

    files: adapter_config.AdapterFiles | None
    model: Path | None
    digest: str
    trust_remote_code: bool = False

    @property
    def tokenizer(self) -> Path | None:
        """The folder that brings a tokenizer of its own, the adapter's before the model's."""
        folders = [self.files.folder if self.files else None, self.model]
        return next((f for f in folders if f and (f / "tokenizer_config.json").is_file()), None)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end what the fine-tuned model writes: a chat model has others than its base."""
        if self.model is None:
            return frozenset()
        file = (
            "generation_config.json" if (self.model / "generation_config.json").is_file() else "config.json"
        )
        try:
            found = dict(json.loads((self.model / file).read_text(encoding="utf-8"))).get("eos_token_id")
        except (OSError, ValueError, TypeError) as error:
            raise BackendError(f"{self.model / file} cannot be read: {error}") from error
        return frozenset(found if isinstance(found, list) else [] if found is None else [found])

    @property
    def notes(self) -> tuple[str, ...]:
        """How its files were read, and which adapters lie below the one that is evaluated."""
        if self.files is None:
            return ()
        if not self.files.below:
            return self.files.notes
        below = listed(list(self.files.below))
        alone = f"{self.files.folder.name} alone is evaluated; name its subfolders for theirs ({below})"
        return (*self.files.notes, alone)

    def __str__(self) -> str:
        return str(self.files.folder if self.files else self.model)


def find(key: AdapterKey, *, trust_remote_code: bool = False) -> Source:
    """Find, check and hash the files; no tensor is read.

    ``trust_remote_code``: whether the spec lets models bring their own code.

    Raises:
        BackendError: nothing is named, or what is named cannot be served.
    """
    if key.path is None and key.model is None:
        raise BackendError("models.ft.adapter is missing: name the folder of an adapter")
    files = None
    if key.path is not None:
        files = adapter_config.read(adapter_folder(key.path, trust_remote_code=trust_remote_code))
    model = None
    if key.model is not None:
        tuned = ModelKey("hf", key.model, key.revision, trust_remote_code=trust_remote_code)
        model = model_folder(tuned)
    try:
        digests = [files_digest(model, MODEL_FILES)] if model is not None else []
        digests += [files_digest(files.folder, _hashed(files.folder))] if files is not None else []
    except OSError as error:
        named = files.folder if files else model
        raise BackendError(f"the adapter {named} cannot be read: {error}") from error
    both = hashlib.blake2b(":".join(digests).encode(), digest_size=16).hexdigest()
    return Source(files, model, digests[0] if len(digests) == 1 else both, trust_remote_code)


def _hashed(folder: Path) -> tuple[str, ...]:
    """The files that make an adapter what it is; a tokenizer's own code is one of them."""
    return (*_HASHED, "*.py") if own_code(folder) else _HASHED


def attach(model: torch.nn.Module, source: Source, row: list[int], vocabulary: Vocabulary) -> ServedAdapter:
    """Put the subject on the base, in the plainest form that is right.

    Args:
        model: the base.
        source: the subject's files.
        row: token ids of the check row.
        vocabulary: of both sides.

    Raises:
        BackendError: it does not fit, or what it does is no change of the base's weights.
    """
    row = [token % vocabulary.needed for token in row]
    files = source.files
    if source.model is not None:
        refuse_spread(model, str(source))
        target = finetuned_update(model, source.model, files, row, trust_remote_code=source.trust_remote_code)
        return weight_delta(model, target, row, source.digest)
    assert files is not None  # find() names one of the two
    if files.form != "plain":
        refuse_spread(model, str(source))
    state = read_tensors(files)
    factors, changed = without_base(model, state)
    if is_per_expert(model, factors):
        refuse_spread(model, str(source))
        return weight_delta(model, per_expert_update(model, files, factors, row), row, source.digest)
    if changed:
        refuse_spread(model, str(source))
    if files.form == "whole" or changed:
        return weight_delta(model, merged_update(model, files, state, row, vocabulary), row, source.digest)
    rebased = files.form == "rebased"
    update = converted_update(model, files, factors) if rebased else plain_update(files, factors)
    return Lora(model, update, source.digest)


def add_null(model: torch.nn.Module, held: ServedAdapter, source: Source) -> None:
    """Let a user's own adapter stand as a null of the subject that is attached.

    Args:
        model: the base; the subject may be on it.
        held: the subject.
        source: the null's files.

    Raises:
        BackendError: one of the two is no plain LoRA, or they do not fit each other.
    """
    files = source.files
    assert files is not None  # a null is named by its folder
    state, changed = without_base(model, read_tensors(files))
    if files.form != "plain" or changed or any(".lora_" not in key for key in state):
        raise BackendError(f"{files.folder} cannot be a null: only plain LoRA adapters can")
    if not isinstance(held, Lora):
        raise BackendError(
            f"{files.folder} cannot be a null of this adapter, which changes whole tensors; with family: "
            "norm_matched or permuted its nulls are drawn"
        )
    held.add_null(plain_update(files, state), source.digest)
