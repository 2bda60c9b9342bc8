"""From what a spec names to what is attached: first the files, then the form that serves them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from pytest_sway.backends.hf import adapters, load
from pytest_sway.backends.hf.attached import Attached
from pytest_sway.backends.hf.finetuned import finetuned
from pytest_sway.backends.hf.inits import rebased_update
from pytest_sway.backends.hf.loading import tensors, without_base
from pytest_sway.backends.hf.lora import Lora, plain_update
from pytest_sway.backends.hf.merged import merged
from pytest_sway.backends.hf.placement import refuse_spread
from pytest_sway.backends.hf.whole import whole_update
from pytest_sway.backends.protocols import AdapterKey, BackendError, ModelKey
from pytest_sway.spec.folders import listed

_HASHED = (adapters.CONFIG, adapters.WEIGHTS)


@dataclass(frozen=True)
class Source:
    """The files of a subject.

    Attributes:
        files: the adapter's; None for a full fine-tune without one.
        model: folder of the fine-tuned model; None where the adapter is on the base itself.
        digest: of all of them.
    """

    files: adapters.AdapterFiles | None
    model: Path | None
    digest: str

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
        """Which adapters lie below the one that is evaluated."""
        if self.files is None or not self.files.below:
            return ()
        below = listed(list(self.files.below))
        return (f"{self.files.folder.name} alone is evaluated; name its subfolders for theirs ({below})",)

    def __str__(self) -> str:
        return str(self.files.folder if self.files else self.model)


def find(key: AdapterKey) -> Source:
    """Find, check and hash the files; no tensor is read.

    Raises:
        BackendError: nothing is named, or what is named cannot be served.
    """
    if key.path is None and key.model is None:
        raise BackendError("models.ft.adapter is missing: name the folder of an adapter")
    files = adapters.read(key.path) if key.path is not None else None
    model = load.folder(ModelKey("hf", key.model, key.revision)) if key.model is not None else None
    try:
        digests = [load.digest(model, load.HASHED)] if model is not None else []
        digests += [load.digest(files.folder, _HASHED)] if files is not None else []
    except OSError as error:
        named = files.folder if files else model
        raise BackendError(f"the adapter {named} cannot be read: {error}") from error
    both = hashlib.blake2b(":".join(digests).encode(), digest_size=16).hexdigest()
    return Source(files, model, digests[0] if len(digests) == 1 else both)


def attach(model: torch.nn.Module, source: Source, row: list[int]) -> Attached:
    """Put the subject on the base, in the plainest form that is right.

    Args:
        model: the base.
        source: the subject's files.
        row: token ids of the check row.

    Raises:
        BackendError: it does not fit, or what it does is no change of the base's weights.
    """
    files = source.files
    if source.model is not None:
        refuse_spread(model, str(source))
        target = finetuned(model, source.model, files, row)
        return whole_update(model, target, row, source.digest)
    assert files is not None  # find() names one of the two
    if files.form != "plain":
        refuse_spread(model, str(source))
    state = tensors(files)
    factors, changed = without_base(model, state)
    if changed:
        refuse_spread(model, str(source))
    if files.form == "whole" or changed:
        return whole_update(model, merged(model, files, state, row), row, source.digest)
    rebased = files.form == "rebased"
    update = rebased_update(model, files, factors) if rebased else plain_update(files, factors)
    return Lora(model, update, source.digest)


def add_null(model: torch.nn.Module, held: Attached, source: Source) -> None:
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
    state, changed = without_base(model, tensors(files))
    if files.form != "plain" or changed or any(".lora_" not in key for key in state):
        raise BackendError(f"{files.folder} cannot be a null: only plain LoRA adapters can")
    if not isinstance(held, Lora):
        raise BackendError(
            f"{files.folder} cannot be a null of this adapter, which changes whole tensors; with family: "
            "norm_matched or permuted its nulls are drawn"
        )
    held.add_null(plain_update(files, state), source.digest)
