"""Names of tensors as people's files have them: what is taken off them, and what is never guessed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.hf.adapter_files.tensor_names import AmbiguousNamesError, peft_tensor_names
from pytest_sway.backends.hf.backend import HFBackend
from tests.support.hf_models import ROWS, logprobs
from tests.support.paths import QUICKSTART

HEALTHY = QUICKSTART / "adapters" / "healthy"
LAYER = "base_model.model.model.layers.0"
SAVED = (
    f"{LAYER}.self_attn.q_proj.lora_A.weight",
    f"{LAYER}.self_attn.q_proj.lora_B.weight",
    "base_model.model.model.embed_tokens.lora_embedding_A",
    f"{LAYER}.mlp.experts.base_layer.lora_A.weight",
    f"{LAYER}.self_attn.q_proj.lora_magnitude_vector",
    "base_model.model.lm_head.weight",
)


def fsdp(name: str) -> str:
    return name.replace(".self_attn.", "._fsdp_wrapped_module.self_attn.").replace(
        ".mlp.", "._fsdp_wrapped_module._checkpoint_wrapped_module.mlp."
    )


def with_name(name: str) -> str:
    for part in ("lora_A", "lora_B", "lora_embedding_A", "lora_magnitude_vector"):
        name = name.replace(f".{part}", f".{part}.default")
    return name


@pytest.mark.parametrize(
    ("change", "notes"),
    [
        (lambda name: name, 0),
        (lambda name: f"_orig_mod.{name}", 1),
        (lambda name: name.replace("model.model.model", "model._orig_mod.model.model"), 1),
        (lambda name: name.replace("base_model.model.", "base_model.model._orig_mod."), 1),
        (fsdp, 2),
        (lambda name: f"module.{name}", 1),
        (lambda name: f"_forward_module.model.{name}", 1),
        (lambda name: name.removeprefix("base_model.model."), 1),
        (with_name, 1),
        (lambda name: f"_orig_mod.module.{with_name(name)}", 3),
        (lambda name: with_name(name).replace("lm_head.", "lm_head.modules_to_save.default."), 2),
    ],
)
def test_names_of_wrappers_are_taken_off(change: Callable[[str], str], notes: int) -> None:
    found = peft_tensor_names([change(name) for name in SAVED], "lora_")
    assert tuple(found.by_key.values()) == SAVED
    assert len(found.notes) == notes
    assert all("were converted to the names that PEFT writes" in note for note in found.notes)


def test_the_bases_copy_beside_a_trained_module_is_left_out() -> None:
    names = [
        "base_model.model.lm_head.modules_to_save.x.weight",
        "base_model.model.lm_head.original_module.weight",
    ]
    assert peft_tensor_names(names, "lora_").by_key == {names[0]: SAVED[-1]}


@pytest.mark.parametrize(
    "names",
    [
        [*SAVED, f"{LAYER}.self_attn.k_proj.lora_A.default.weight"],
        [f"{LAYER}.self_attn.{name}" for name in ("q_proj.lora_A.a.weight", "q_proj.lora_B.b.weight")],
        [SAVED[0], f"model.{SAVED[1]}"],
        [SAVED[0], "model.layers.0.self_attn.q_proj.lora_B.weight"],
    ],
)
def test_names_that_do_not_agree_stay_as_they_are(names: list[str]) -> None:
    found = peft_tensor_names(names, "lora_")
    assert found.by_key == {name: name for name in names}
    assert not found.notes


def test_two_names_of_one_tensor_are_refused() -> None:
    with pytest.raises(AmbiguousNamesError, match="_orig_mod"):
        peft_tensor_names([SAVED[0], f"_orig_mod.{SAVED[0]}"], "lora_")


def renamed(folder: Path, change: Callable[[str], str]) -> Path:
    shutil.copytree(HEALTHY, folder)
    state = load_file(folder / "adapter_model.safetensors")
    save_file({change(key): value for key, value in state.items()}, folder / "adapter_model.safetensors")
    return folder


def tuned(backend: HFBackend, folder: Path) -> tuple[list[torch.Tensor], tuple[str, ...]]:
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        return logprobs(backend, ROWS, subject.tuned, [0, 0, 0]), subject.notes
    finally:
        backend.detach(subject)


def test_a_renamed_adapter_is_the_same_one_with_a_note(backend: HFBackend, tmp_path: Path) -> None:
    expected, notes = tuned(backend, HEALTHY)
    assert not notes
    found, notes = tuned(backend, renamed(tmp_path / "wrapped", lambda name: with_name(fsdp(name))))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert len(notes) == 3


def test_a_name_that_finds_no_place_is_shown_as_the_file_has_it(backend: HFBackend, tmp_path: Path) -> None:
    folder = renamed(tmp_path / "odd", lambda name: name.replace("layers.0.", "blocks.0."))
    with pytest.raises(BackendError) as found:
        backend.attach(AdapterKey(str(folder)))
    assert f"missing tensors (first: {LAYER}.mlp.down_proj.lora_A.weight)" in str(found.value)
    assert "subject" not in str(found.value)


def test_the_trained_task_is_named_where_tensor_names_differ(backend: HFBackend, tmp_path: Path) -> None:
    """An embedding model's adapter: its base has no level ``model``."""
    folder = renamed(tmp_path / "embed", lambda name: name.replace("model.model.model.", "model.model."))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "task_type": "FEATURE_EXTRACTION"}))
    with pytest.raises(BackendError, match="the adapter's task_type is FEATURE_EXTRACTION"):
        backend.attach(AdapterKey(str(folder)))
