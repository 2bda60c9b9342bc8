"""What an adapter folder alone shows to be wrong: one sentence with the cause and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from pytest_sway.safetensors_header import HeaderError, tensor_shapes
from pytest_sway.spec.adapter_file_checks import why_not_served
from tests.support.adapter_stubs import FACTORS, adapter_stub, safetensors

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
HEAD = "base_model.model.lm_head.weight"


def test_a_whole_folder_shows_nothing_wrong(tmp_path: Path) -> None:
    assert why_not_served(adapter_stub(tmp_path)) is None


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        ({}, "contains no tensors. DeepSpeed ZeRO-3"),
        (dict.fromkeys(FACTORS, (0,)), "2 of 2 tensors"),
        ({**FACTORS, HEAD: (0,)}, f"1 of 3 tensors in {WEIGHTS} are empty (first: {HEAD} [0])"),
        ({**FACTORS, HEAD: (0, 4)}, f"(first: {HEAD} [0, 4])"),
        (dict.fromkeys(FACTORS, (4,)), "are one-dimensional instead of matrices"),
        ({name.replace(".weight", ".default.weight"): (4,) for name in FACTORS}, "2 of 2 tensors"),
        (
            {**FACTORS, HEAD: (16,)},
            f"1 of 3 tensors in {WEIGHTS} are one-dimensional instead of matrices (first: {HEAD}",
        ),
    ],
)
def test_what_was_not_gathered_is_called_so(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], says: str
) -> None:
    found = why_not_served(adapter_stub(tmp_path, shapes)) or ""
    assert says in found
    assert "stage3_gather_16bit_weights_on_model_save" in found
    assert "FULL_STATE_DICT" in found


def test_vectors_that_belong_to_an_adapter_are_no_shards(tmp_path: Path) -> None:
    vectors = {
        "base_model.model.model.norm.weight": (4,),
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector.weight": (4,),
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias": (4,),
    }
    assert why_not_served(adapter_stub(tmp_path, {**FACTORS, **vectors})) is None


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut(count: int) -> Callable[[Path], object]:
    return lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:count])


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 400\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (write(WEIGHTS, POINTER), "is a Git LFS pointer"),
        (write(WEIGHTS, b""), "is cut off: it contains only 0 bytes"),
        (cut(5), "is cut off: it contains only 5 bytes"),
        (cut(60), "is cut off: its header needs"),
        (cut(-1), "is cut off: its tensors need 64 bytes, but only 63 are in the file"),
        (write(WEIGHTS, b"PK\3\4" + bytes(99)), "is not a safetensors file: torch.save wrote it"),
        (write(WEIGHTS, b"<!DOCTYPE html>" + bytes(99)), "is not a safetensors file"),
        (write(WEIGHTS, safetensors({})[:8] + b"[]"), "is not a safetensors file"),
        (write(WEIGHTS, (20).to_bytes(8, "little") + b'{"a": {"shape": [1]}}'), "is not a safetensors file"),
        (write(CONFIG, b"{"), "is not JSON"),
        (write(CONFIG, b"\xff"), "is not JSON"),
        (write(CONFIG, b"[]"), "does not contain a JSON object"),
        (write(CONFIG, b'{"hidden_size": 4, "model_name": "m"}'), "has no peft_type"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, change: Callable[[Path], object], says: str
) -> None:
    change(adapter_stub(tmp_path))
    found = why_not_served(tmp_path) or ""
    assert says in found
    assert str(tmp_path) in found
    assert "\n" not in found


GOOD = {"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": 1.0, "keys": []}}


@pytest.mark.parametrize(
    ("config", "weights", "says"),
    [
        (GOOD, "adapters.safetensors", ""),
        ({**GOOD, "fine_tune_type": "full"}, "adapters.safetensors", "mlx_lm.fuse"),
        ({**GOOD, "fine_tune_type": "ia3"}, "adapters.safetensors", "must be lora or dora (found 'ia3')"),
        ({}, "adapters.safetensors", "rank, scale and keys (found None)"),
        (
            {"lora_parameters": {"rank": 2, "alpha": 4}},
            "adapters.safetensors",
            "lora_parameters.scale is None",
        ),
        (GOOD, WEIGHTS, "has an adapter config of mlx-lm, but the weights are missing or are PEFT"),
    ],
)
def test_an_adapter_of_mlx_lm_is_recognised(
    tmp_path: Path, config: dict[str, object], weights: str, says: str
) -> None:
    (tmp_path / CONFIG).write_text(json.dumps(config))
    (tmp_path / weights).write_bytes(safetensors({"model.layers.0.q_proj.lora_a": (4, 2)}))
    found = why_not_served(tmp_path)
    assert (found is None) if not says else says in (found or "")


@pytest.mark.parametrize(
    ("instead", "says"),
    [
        (
            "adapter_model.bin",
            "adapter_model.bin instead of adapter_model.safetensors; pickled weights are never loaded",
        ),
        ("model.safetensors", "(it contains model.safetensors). Training may still be writing this file"),
        ("README.md", f"contains no {WEIGHTS}. Training may still be writing this file"),
    ],
)
def test_what_lies_there_instead_of_weights_is_named(tmp_path: Path, instead: str, says: str) -> None:
    (adapter_stub(tmp_path) / WEIGHTS).rename(tmp_path / instead)
    assert says in (why_not_served(tmp_path) or "")


@pytest.mark.parametrize(
    ("task", "extra", "kind"),
    [
        ("SEQ_CLS", "base_model.model.score.weight", "a sequence classifier"),
        ("SEQ_CLS", "base_model.model.classifier.out_proj.weight", "a sequence classifier"),
        ("TOKEN_CLS", "base_model.model.classifier.weight", "a token classifier"),
        ("QUESTION_ANS", "base_model.model.qa_outputs.weight", "a question answering model"),
        ("SEQ_2_SEQ_LM", "base_model.model.encoder.block.0.lora_A.weight", "an encoder-decoder model"),
        ("SEQ_CLS", None, None),
        ("FEATURE_EXTRACTION", None, None),
    ],
)
def test_an_adapter_of_another_kind_of_model_is_named(
    tmp_path: Path, task: str, extra: str | None, kind: str | None
) -> None:
    shapes = {**FACTORS, extra: (1, 4)} if extra else FACTORS
    found = why_not_served(adapter_stub(tmp_path, shapes, task_type=task))
    if kind is None:
        assert found is None
    else:
        assert f"the adapter is for {kind} (task_type {task}, tensor {extra})" in (found or "")


@pytest.mark.parametrize("rank", [0, -1, True, "8", 2.5])
def test_a_rank_that_no_adapter_has_is_named(tmp_path: Path, rank: object) -> None:
    assert f"sets r: {rank!r}" in (why_not_served(adapter_stub(tmp_path, r=rank)) or "")


HALF = {name: (*shape[:-1], 1) if "lora_B" in name else (1, *shape[1:]) for name, shape in FACTORS.items()}


def test_factors_of_another_rank_than_the_config_says_are_named(tmp_path: Path) -> None:
    found = why_not_served(adapter_stub(tmp_path, HALF)) or ""
    assert f"tensors in {WEIGHTS} do not have the rank that adapter_config.json sets (r: 2; first: " in found
    assert "Either the two files come from different runs, or the tensors are shards" in found
    for several in ({"rank_pattern": {"q_proj": 1}}, {"target_parameters": ["experts.down_proj"]}):
        assert why_not_served(adapter_stub(tmp_path, HALF, **several)) is None
    assert why_not_served(adapter_stub(tmp_path, HALF, peft_type="ADALORA")) is None


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (adapter_stub(tmp_path) / WEIGHTS).unlink()
    (tmp_path / WEIGHTS).mkdir()
    assert f"contains no {WEIGHTS}" in (why_not_served(tmp_path) or "")
    with pytest.raises(HeaderError, match="cannot be read"):
        tensor_shapes(tmp_path / WEIGHTS)


@settings(max_examples=40)
@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("odd") / "file"
    path.write_bytes(content)
    try:
        tensor_shapes(path)
    except HeaderError as error:
        assert str(error)


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 5), max_size=3).map(tuple), max_size=5))
def test_shapes_are_those_that_safetensors_writes(
    tmp_path_factory: pytest.TempPathFactory, shapes: list[tuple[int, ...]]
) -> None:
    import numpy as np

    expected = {f"t{index}": shape for index, shape in enumerate(shapes)}
    path = tmp_path_factory.mktemp("file") / "file"
    path.write_bytes(save({name: np.zeros(shape, np.float32) for name, shape in expected.items()}))
    assert tensor_shapes(path) == expected


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F16", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 8]},
        {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]},
    ],
)
def test_a_header_that_contradicts_itself(tmp_path: Path, entry: dict[str, Any]) -> None:
    header = json.dumps({"w": entry}).encode()
    (tmp_path / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(HeaderError, match="its header is not valid"):
        tensor_shapes(tmp_path / WEIGHTS)


def test_tensors_that_share_bytes(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"a": entry, "b": entry}).encode()
    (tmp_path / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(HeaderError, match="its header is not valid"):
        tensor_shapes(tmp_path / WEIGHTS)


@pytest.mark.parametrize("length", [0x80, 0x180, int.from_bytes(b"PK", "little")])
def test_a_header_may_be_as_long_as_a_pickles_start_says(tmp_path: Path, length: int) -> None:
    header = b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'.ljust(length)
    (tmp_path / WEIGHTS).write_bytes(length.to_bytes(8, "little") + header + bytes(4))
    assert tensor_shapes(tmp_path / WEIGHTS) == {"w": (1,)}
