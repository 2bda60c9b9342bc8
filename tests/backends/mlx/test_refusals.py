"""Models and adapters that kind: mlx does not serve, and files that are not what they should be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.mlx.backend import MLXBackend
from pytest_sway.backends.mlx.load_backend import load_backend
from pytest_sway.requests import RequestError, View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.mlx_models import copied_base, save_mlx_adapter
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import PLAIN_LORA, lora, save_adapter

HEALTHY = QUICKSTART / "adapters" / "healthy"


def edit_config(folder: Path, name: str, **fields: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), "utf-8")


def refusal(backend: MLXBackend, folder: Path) -> str:
    with pytest.raises(BackendError) as error:
        backend.attach(AdapterKey(str(folder)))
    assert backend._adapter is None
    return str(error.value)


def without(folder: Path, name: str, part: str) -> None:
    """The file without the tensors whose name holds ``part``."""
    kept = {key: one for key, one in mx.load(str(folder / name)).items() if part not in key}
    mx.save_safetensors(str(folder / name), kept)


def test_a_module_of_which_the_file_holds_nothing(backend: MLXBackend, tmp_path: Path) -> None:
    """mlx-lm itself leaves it at the numbers that it begins a training with."""
    folder = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])
    without(folder, "adapters.safetensors", "layers.2.")
    message = refusal(backend, folder)
    assert (
        "but without weights: 1; modules with weights, but not selected: 0 "
        "(first: model.layers.2.self_attn.q_proj)" in message
    )
    peft = save_adapter(tmp_path / "peft", PLAIN_LORA["two_modules"])
    without(peft, "adapter_model.safetensors", "layers.1.self_attn.q_proj")
    assert "but without weights: 1;" in refusal(backend, peft)


def test_one_factor_of_a_module(backend: MLXBackend, tmp_path: Path) -> None:
    folder = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])
    without(folder, "adapters.safetensors", "layers.2.self_attn.q_proj.lora_b")
    assert "contains no lora_b for model.layers.2.self_attn.q_proj" in refusal(backend, folder)


def test_a_module_that_the_config_does_not_name(backend: MLXBackend, tmp_path: Path) -> None:
    folder = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])
    edit_config(folder, "adapter_config.json", num_layers=1)
    message = refusal(backend, folder)
    assert "without weights: 0; modules with weights, but not selected: 3 (first: model.layers.0" in message


def test_numbers_of_another_base(backend: MLXBackend, tmp_path: Path) -> None:
    folder = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])
    path = str(folder / "adapters.safetensors")
    tensors = mx.load(path)
    longer = {key: mx.pad(one, [(0, 8), (0, 0)]) for key, one in tensors.items() if "lora_a" in key}
    mx.save_safetensors(path, {**tensors, **longer})
    assert (
        "the layer has 256 inputs and 256 outputs. Use the base model that the adapter was trained on"
        in refusal(backend, folder)
    )


@pytest.mark.parametrize("where", ["lora_b", "lora_a"])
def test_numbers_that_are_not_finite(backend: MLXBackend, tmp_path: Path, where: str) -> None:
    folder = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])
    path = str(folder / "adapters.safetensors")
    tensors = mx.load(path)
    broken = {key: one * float("nan") for key, one in tensors.items() if where in key}
    mx.save_safetensors(path, {**tensors, **broken})
    assert "4 of 4 modules contain NaN or infinity (first: model.layers.0.self_attn.q_proj)" in refusal(
        backend, folder
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fine_tune_type": "full"}, "contains a full fine-tune of mlx-lm"),
        ({"fine_tune_type": "ia3"}, "fine_tune_type must be lora or dora (found 'ia3')"),
        ({"lora_parameters": None}, "rank, scale and keys (found None)"),
        ({"lora_parameters": {"rank": 4, "alpha": 16}}, "lora_parameters.scale is None"),
        ({"lora_parameters": {"rank": 8, "scale": 2.0, "keys": []}}, "sets rank 8"),
        ({"lora_parameters": {"rank": 4, "scale": float("nan"), "keys": []}}, "lora_parameters.scale is nan"),
        (
            {"lora_parameters": {"rank": 4, "scale": 2.0, "keys": "q_proj"}},
            "lora_parameters.keys is 'q_proj'",
        ),
        ({"num_layers": "4"}, "num_layers is '4', but it must be an integer"),
        ({"fine_tune_type": "dora"}, "contains no m for model.layers.0.self_attn.q_proj"),
    ],
)
def test_a_config_that_is_not_mlx_lms(
    backend: MLXBackend, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    folder = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])
    edit_config(folder, "adapter_config.json", **fields)
    assert message in refusal(backend, folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lora_alpha": "16"}, "lora_alpha: '16'; expected a number"),
        ({"lora_alpha": None}, "lora_alpha is None; expected a number"),
        ({"alpha_pattern": {"q_proj": "x"}}, "alpha_pattern: q_proj: 'x'; expected a number"),
        ({"rank_pattern": ["q_proj"]}, "rank_pattern is"),
        ({"rank_pattern": {"(": 4}}, "which is not a valid regular expression"),
        ({"target_modules": 5}, "target_modules is 5; expected a string or a list of strings"),
        ({"target_modules": "(("}, "target_modules contains '((', which is not a valid regular expression"),
        ({"use_dora": True}, "contains no lora_magnitude_vector"),
    ],
)
def test_a_config_that_is_not_pefts(
    backend: MLXBackend, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    folder = save_adapter(tmp_path / "peft", PLAIN_LORA["two_modules"])
    edit_config(folder, "adapter_config.json", **fields)
    assert message in refusal(backend, folder)


def test_magnitudes_that_the_config_does_not_announce(backend: MLXBackend, tmp_path: Path) -> None:
    dora = save_mlx_adapter(tmp_path / "mlx", kind="dora", keys=["self_attn.q_proj"])
    edit_config(dora, "adapter_config.json", fine_tune_type="lora")
    assert "sets fine_tune_type: lora; the two files come from different runs" in refusal(backend, dora)
    peft = save_adapter(tmp_path / "peft", lora(use_dora=True, target_modules=["q_proj"]))
    edit_config(peft, "adapter_config.json", use_dora=False)
    assert "sets use_dora: false; the two files come from different runs" in refusal(backend, peft)


def test_a_token_that_the_embedding_has_no_row_for(backend: MLXBackend) -> None:
    """mlx reads on beyond the end of the embedding."""
    view = View(backend._view_digest())
    with pytest.raises(RequestError, match=r"token id 4096, but .* vocabulary has only 4096"):
        backend.generate([[5, 4096]], [view], 1)
    with pytest.raises(RequestError, match=r"token id 9999, but .* vocabulary has only 4096"):
        list(backend.logprobs([PackedRow((TokenSequence((5, 9999), 0),))], view, 10))


def test_a_file_that_is_cut_off(backend: MLXBackend, tmp_path: Path) -> None:
    folder = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])
    path = folder / "adapters.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "is cut off" in refusal(backend, folder)


def test_a_harmless_field_is_noted(backend: MLXBackend, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "peft", PLAIN_LORA["two_modules"])
    edit_config(folder, "adapter_config.json", unsloth_fixed=True)
    subject = backend.attach(AdapterKey(str(folder)))
    backend.detach(subject)
    assert any("unsloth_fixed" in note for note in subject.notes)
    edit_config(folder, "adapter_config.json", layer_replication=[[0, 2]])
    assert "uses more than LoRA or DoRA (layer_replication=[[0, 2]])" in refusal(backend, folder)


def test_a_head_that_is_the_embedding(backend: MLXBackend, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "peft", lora(target_modules=["lm_head"]))
    assert "no layer with this name (its head is the embedding)" in refusal(backend, folder)


def test_a_full_fine_tune(backend: MLXBackend) -> None:
    with pytest.raises(BackendError, match="use kind: hf for a full fine-tune"):
        backend.attach(AdapterKey(None, model="tuned"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_file": "run_me.py"}, "run_me.py"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "kind: mlx does not support"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantized with gptq"),
        ({"quantization_config": {"quant_method": "hqq"}}, "quantized with hqq"),
        ({"model_type": "t5"}, "only causal language models"),
    ],
)
def test_a_base_that_is_not_served(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    folder = copied_base(tmp_path / "base")
    (folder / "run_me.py").write_text("raise SystemExit('it was run')", "utf-8")
    edit_config(folder, "config.json", **fields)
    with pytest.raises(BackendError, match=message):
        load_backend(ModelKey("mlx", str(folder)))


def test_a_base_that_lacks_a_tensor(tmp_path: Path) -> None:
    folder = copied_base(tmp_path / "base")
    without(folder, "model.safetensors", "layers.1.mlp.up_proj")
    with pytest.raises(BackendError, match=r"the base model in .* cannot be loaded: .*up_proj"):
        load_backend(ModelKey("mlx", str(folder)))


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="found 'cuda'; kind: mlx supports only auto, cpu and gpu"):
        load_backend(ModelKey("mlx", str(QUICKSTART / "base"), device="cuda"))


def test_a_null_that_changes_more_than_the_subject(backend: MLXBackend, tmp_path: Path) -> None:
    folder = save_adapter(tmp_path / "peft", PLAIN_LORA["two_modules"])
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        with pytest.raises(
            BackendError, match="it changes 20 modules that the evaluated adapter does not change"
        ):
            backend.add_null(AdapterKey(str(HEALTHY)))
    finally:
        backend.detach(subject)


def test_an_adapter_of_neither_format(backend: MLXBackend, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "adapter_config.json" in refusal(backend, folder)
    shutil.copy(HEALTHY / "adapter_config.json", folder)
    assert "contains no adapter_model.safetensors" in refusal(backend, folder)
