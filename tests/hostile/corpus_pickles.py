"""Pickles that run a command when they are loaded, under every name that training leaves beside an adapter."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.hostile.case import Answer, Case, payload, written
from tests.hostile.doors import (
    adapter_door,
    base_door,
    check_door,
    copy_of_adapter,
    copy_of_base,
    spec,
    whole_run,
)

WEIGHTS = "adapter_model.safetensors"


class _Command:
    """What a pickle of it does when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self._text = payload(folder)

    def __reduce__(self) -> Any:
        return os.system, (self._text,)


def zipped(folder: Path) -> bytes:
    """As ``torch.save`` writes it today."""
    stream = io.BytesIO()
    torch.save({"state": _Command(folder)}, stream)
    return stream.getvalue()


def legacy(folder: Path) -> bytes:
    """As ``torch.save`` wrote it before 1.6."""
    stream = io.BytesIO()
    torch.save({"state": _Command(folder)}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def plain(folder: Path) -> bytes:
    """As ``pickle`` writes it."""
    return pickle.dumps(_Command(folder))


def text_pickle(folder: Path) -> bytes:
    """Protocol 0, which is text."""
    return f"cos\nsystem\n(S{payload(folder)!r}\ntR.".encode()


def npy(folder: Path) -> bytes:
    """An array of objects."""
    stream = io.BytesIO()
    np.save(stream, np.array([_Command(folder)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def npz(folder: Path) -> bytes:
    """An archive with an array of objects."""
    stream = io.BytesIO()
    np.savez(stream, a=np.array([_Command(folder)], dtype=object))
    return stream.getvalue()


def getattr_chain(folder: Path) -> bytes:
    """A state that reaches ``eval`` by names that torch might allow."""
    state = b"ctorch._utils\n_rebuild_tensor_v2\ncbuiltins\neval\n(S'1'\ntR."
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", state)
        archive.writestr("archive/version", "3")
    return stream.getvalue()


def giant_tensor(folder: Path) -> bytes:
    """Sixteen bytes that claim to be a tensor of 2**50 numbers, by a stride of zero."""
    stream = io.BytesIO()
    giant = torch.zeros(1).expand(1 << 50)
    parameter = {"step": torch.tensor(3.0), "exp_avg": giant, "exp_avg_sq": giant}
    groups = [{"params": [0], "lr": 1e-3, "betas": (0.9, 0.999)}]
    torch.save({"state": {0: parameter}, "param_groups": groups}, stream)
    return stream.getvalue()


def compressed(folder: Path) -> bytes:
    """A state of a gigabyte of zeros in a megabyte."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(256 << 20))
    return stream.getvalue()


def _beside(name: str, content: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """A sound adapter, with a file beside its weights."""

    def build(folder: Path) -> None:
        written(copy_of_adapter(folder) / name, content(folder))

    return build


def _instead(name: str, content: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """An adapter whose weights are this file."""

    def build(folder: Path) -> None:
        adapter = copy_of_adapter(folder)
        (adapter / WEIGHTS).unlink()
        written(adapter / name, content(folder))

    return build


def _base(name: str, content: Callable[[Path], bytes], *, keep: bool = False) -> Callable[[Path], None]:
    """A base with this file, beside or instead of its weights."""

    def build(folder: Path) -> None:
        base = copy_of_base(folder)
        if not keep:
            (base / "model.safetensors").unlink()
        written(base / name, content(folder))

    return build


def _index(shard: str) -> Callable[[Path], None]:
    """A base whose index names a shard that is a pickle, perhaps in another folder."""

    def build(folder: Path) -> None:
        base = copy_of_base(folder)
        (base / "model.safetensors").unlink()
        written(base / shard, zipped(folder))
        index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": shard}}
        written(base / "model.safetensors.index.json", json.dumps(index))

    return build


def _state(name: str, content: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """A run whose optimizer state is this, and a spec that reads it."""

    def build(folder: Path) -> None:
        written(copy_of_adapter(folder) / name, content(folder))
        state = {"global_step": 3, "epoch": 1.0, "log_history": [{"step": 1, "loss": 2.0}]}
        written(folder / "adapter" / "trainer_state.json", json.dumps(state))
        spec(folder, "{name: ghost, kind: gradient_ghost}", adapter="./adapter")

    return build


def _mlx(folder: Path) -> None:
    adapter = folder / "adapter"
    written(adapter / "adapters.npz", npz(folder))
    config = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": {"rank": 2, "scale": 1.0}}
    written(adapter / "adapter_config.json", json.dumps(config))


def embedder(folder: Path) -> Answer:
    """The sentence embedder in ``embedder``."""
    from pytest_sway.backends.embedder import SentenceEmbedder
    from pytest_sway.requests import RequestError

    try:
        return Answer(False, str(SentenceEmbedder().embed(["a"], str(folder / "embedder"))))
    except RequestError as error:
        return Answer(True, str(error))


def _embedder(folder: Path) -> None:
    target = folder / "embedder"
    shutil.copytree(copy_of_base(folder), target)
    (target / "model.safetensors").unlink()
    written(target / "pytorch_model.bin", zipped(folder))
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    written(target / "modules.json", json.dumps(modules))


def _gguf(content: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """A spec of a GGUF file that is something else."""

    def build(folder: Path) -> None:
        written(folder / "model.gguf", content(folder))
        copy_of_adapter(folder)
        file = spec(folder, base="./model.gguf", adapter="./adapter")
        written(file, file.read_text("utf-8").replace("kind: hf", "kind: gguf"))

    return build


_STATES = (
    ("a zip", "optimizer.pt", zipped),
    ("an old file of torch", "optimizer.pt", legacy),
    ("a bare pickle", "optimizer.bin", plain),
    ("a pickle that is text", "training_state.pt", text_pickle),
    ("builtins behind a name of torch", "optimizer.pt", getattr_chain),
    ("a compressed zip", "optimizer.pt", compressed),
    ("a tensor of 2**50 numbers", "optimizer.pt", giant_tensor),
    ("an array of objects", "training_state.pt", npy),
)
_BESIDE = ("adapter_model.bin", "pytorch_model.bin", "scheduler.pt", "training_args.bin", "rng_state.pth")
CASES = [
    *(Case("pickle", f"{name} beside the weights", _beside(name, zipped), adapter_door, "harmless")
      for name in _BESIDE),
    *(Case("pickle", f"{name} instead of the weights", _instead(name, zipped), adapter_door)
      for name in ("adapter_model.bin", "adapter_0.pt", "adapter.pth")),
    Case("pickle", "check of adapter_model.bin", _instead("adapter_model.bin", zipped), check_door, "either"),
    *(Case("pickle", f"{content.__name__} named {WEIGHTS}", _instead(WEIGHTS, content), adapter_door)
      for content in (zipped, legacy, plain, text_pickle, npy, npz)),
    Case("pickle", "pytorch_model.bin of a base", _base("pytorch_model.bin", zipped), base_door),
    Case("pickle", "pytorch_model.bin beside", _base("pytorch_model.bin", zipped, keep=True), base_door, "harmless"),
    *(Case("pickle", f"{content.__name__} named model.safetensors", _base("model.safetensors", content), base_door)
      for content in (zipped, plain)),
    Case("pickle", "a shard of an index", _index("model-00001-of-00001.safetensors"), base_door),
    Case("pickle", "a shard of an index named .bin", _index("pytorch_model-1.bin"), base_door),
    Case("pickle", "a shard in another folder", _index("../model.safetensors"), base_door),
    Case("pickle", "adapters.npz of mlx-lm", _mlx, adapter_door),
    *(Case("pickle", f"{content.__name__} named model.gguf", _gguf(content), whole_run) for content in (zipped, plain)),
    Case("pickle", "weights of a sentence embedder", _embedder, embedder),
    *(Case("pickle", f"optimizer state, {name}", _state(file, content), whole_run, "either")
      for name, file, content in _STATES),
]  # fmt: skip
