"""The base that an adapter names, beside the one that it is put on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.hf.adapter_files.declared_base import declared_base_mismatch
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import Checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40


def model(folder: Path, content: bytes = b"weights", **config: Any) -> Checkpoint:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(content)
    return Checkpoint(folder, config, (folder / "model.safetensors",), {})


def difference(
    named: str | None, base: BaseModel, adapter: Path = Path("/a"), **config: Any
) -> tuple[str, bool] | None:
    found = declared_base_mismatch(adapter, {"base_model_name_or_path": named, **config}, base)
    return None if found is None else (found.text, found.is_certain)


def hub(tmp_path: Path, name: str = "meta-llama/Llama-3-8B", **more: Any) -> BaseModel:
    folder = tmp_path / f"models--{name.replace('/', '--')}" / "snapshots" / COMMIT
    return BaseModel("d", name=name, checkpoint=model(folder), **more)


@pytest.mark.parametrize(
    "named",
    [
        None,
        "",
        "meta-llama/Llama-3-8B",
        "meta-llama/llama-3-8b",
        "/home/alice/models/Llama-3-8B",
        "/home/alice/models/Llama-3-8B/",
        "C:\\models\\Llama-3-8B",
        f"/root/.cache/huggingface/hub/models--meta-llama--Llama-3-8B/snapshots/{COMMIT}",
        "unsloth/Llama-3-8B",
    ],
)
def test_a_copy_of_the_same_model_is_no_difference(tmp_path: Path, named: str | None) -> None:
    assert difference(named, hub(tmp_path)) is None
    local = BaseModel("d", name=str(tmp_path / "Llama-3-8B"), checkpoint=model(tmp_path / "Llama-3-8B"))
    assert difference(named, local) is None


def test_what_the_bases_own_config_calls_it_counts(tmp_path: Path) -> None:
    checkpoint = model(tmp_path / "base", _name_or_path="meta-llama/Llama-3-8B")
    base = BaseModel("d", name="./base", checkpoint=checkpoint)
    assert difference("/home/alice/Llama-3-8B", base) is None


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (
            "meta-llama/Llama-3-8B-Instruct",
            "was trained on meta-llama/Llama-3-8B-Instruct, but the spec's base",
        ),
        ("unsloth/Llama-3-8B-bnb-4bit", "two quantizations of the same model"),
        ("TheBloke/Llama-3-8B-GPTQ", "two quantizations of the same model"),
        (f"/x/models--org--other/snapshots/{COMMIT}", "was trained on org/other"),
    ],
)
def test_another_model_is_a_certain_difference(tmp_path: Path, named: str, says: str) -> None:
    found = difference(named, hub(tmp_path))
    assert found is not None
    assert found[1]
    assert says in found[0]


@pytest.mark.parametrize("named", ["/content/model", "out/checkpoint-500", "./merged"])
def test_a_path_on_another_machine_is_no_certain_difference(tmp_path: Path, named: str) -> None:
    found = difference(named, hub(tmp_path))
    assert found is not None
    assert not found[1]


def test_a_folder_that_is_here_is_compared_by_its_weights(tmp_path: Path) -> None:
    base = BaseModel("d", name=str(tmp_path / "base"), checkpoint=model(tmp_path / "base"))
    adapter = tmp_path / "run" / "adapter"
    adapter.mkdir(parents=True)
    assert difference("../../base", base, adapter) is None
    shutil.copytree(tmp_path / "base", tmp_path / "copy")
    assert difference("../../copy", base, adapter) is None
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"weightz")
    found = difference(str(tmp_path / "copy"), base, adapter)
    assert found is not None
    assert found[1]
    assert "The weight files of the two differ" in found[0]
    elsewhere = BaseModel("d", name="other/copy", checkpoint=model(tmp_path / "other" / "copy"))
    assert difference(str(tmp_path / "copy"), elsewhere, adapter) is not None  # one name, other weights


@pytest.mark.parametrize(
    ("named", "revision", "pinned", "differs"),
    [
        ("org/m", None, None, False),
        ("org/m", "main", None, False),
        ("org/m", COMMIT, None, False),
        ("org/m", COMMIT[:8], "v2", False),
        ("org/m", "v2", "v2", False),
        ("org/m", "v1", "v2", True),
        ("org/m", OTHER, None, True),
        (f"/x/models--org--m/snapshots/{OTHER}", None, None, True),
    ],
)
def test_revisions(
    tmp_path: Path, named: str, revision: str | None, pinned: str | None, differs: bool
) -> None:
    found = difference(named, hub(tmp_path, "org/m", revision=pinned), revision=revision)
    assert (found is not None) == differs
    assert found is None or found[1]


def test_the_revision_of_a_folder_is_not_known(tmp_path: Path) -> None:
    base = BaseModel("d", name=str(tmp_path / "m"), checkpoint=model(tmp_path / "m"))
    assert difference("org/m", base, revision=OTHER) is None


@pytest.mark.parametrize(
    ("named", "file", "same"),
    [
        ("Qwen/Qwen3-0.6B", "models/qwen3-0.6b-q4_k_m.gguf", True),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct.Q4_1.gguf", True),
        ("Qwen/Qwen3-0.6B", "/m/Qwen3-0.6B-IQ3_XXS.GGUF", True),
        ("/data/models/Qwen3-0.6B", "Qwen3-0.6B-bf16.gguf", True),
        ("unsloth/Qwen3-0.6B-bnb-4bit", "Qwen3-0.6B.gguf", True),
        ("Qwen/Qwen3-0.6B", "Qwen3-1.7B-Q8_0.gguf", False),
        ("../../base", "base-f32.gguf", True),
        ("Qwen/Qwen3-0.6B", "model.gguf", False),
    ],
)
def test_a_gguf_file_is_named_after_its_model(tmp_path: Path, named: str, file: str, same: bool) -> None:
    config = {"base_model_name_or_path": named}
    found = declared_base_mismatch(tmp_path, config, BaseModel("d", name=file, is_gguf_file=True))
    if same:
        assert found is None
    else:
        assert found is not None
        assert not found.is_certain
        assert f"{file}. It is unknown whether this GGUF file was converted from" in found.text
