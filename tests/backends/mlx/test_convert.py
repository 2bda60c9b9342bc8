"""Adapters from PEFT to mlx-lm and back: the same numbers by mlx-lm's own code, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from peft import PeftModel

from pytest_sway.backends.base import Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.mlx.adapter_content import ConversionError
from pytest_sway.backends.mlx.backend import MLXBackend
from pytest_sway.backends.mlx.convert import convert_adapter, converted_folder
from pytest_sway.backends.mlx.mlx_folder import read_mlx_folder
from pytest_sway.backends.mlx.peft_folder import read_peft_folder
from pytest_sway.requests import Divergence, NullSeed, Request, View
from tests.support.both_backends import assert_same_answers
from tests.support.hf_models import ROWS, reference_logprobs
from tests.support.mlx_models import reference_logits, save_mlx_adapter
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import FULL_WEIGHTS, PLAIN_LORA, base_model, save_adapter

FORMS = {name: PLAIN_LORA[name] for name in ("plain", "rslora", "patterns", "one_layer")}
FORMS["dora"] = FULL_WEIGHTS["dora"]
HEALTHY = QUICKSTART / "adapters" / "healthy"


def off(found: list[mx.array], expected: list[np.ndarray]) -> float:
    return max(float(np.abs(np.array(a) - b).max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "patterns" else pytest.mark.slow) for n in FORMS]
)
def test_mlx_lm_reads_what_peft_trained(tmp_path: Path, name: str) -> None:
    source = save_adapter(tmp_path / "peft", FORMS[name])
    done = convert_adapter(source, tmp_path / "mlx")
    model = PeftModel.from_pretrained(base_model(), source).eval()
    expected = [reference_logprobs(model, row).numpy() for row in ROWS]
    assert off(reference_logits(done.folder, ROWS), expected) < 5e-4
    ours, theirs = read_peft_folder(source), read_mlx_folder(done.folder)
    assert ours.updates.keys() == theirs.updates.keys()
    assert (done.modules, done.rank) == (len(ours.updates), max(one.rank for one in ours.updates.values()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_peft_reads_what_mlx_lm_trained(tmp_path: Path, kind: str) -> None:
    source = save_mlx_adapter(tmp_path / "mlx", kind=kind, keys=["self_attn.q_proj", "mlp.up_proj"], layers=2)
    convert_adapter(source, tmp_path / "peft", "peft")
    model = PeftModel.from_pretrained(base_model(), tmp_path / "peft").eval()
    expected = [reference_logprobs(model, row).numpy() for row in ROWS]
    assert off(reference_logits(source, ROWS), expected) < 5e-4
    untouched = [reference_logprobs(base_model(), row).numpy() for row in ROWS]
    assert max(float(np.abs(a - b).max()) for a, b in zip(untouched, expected, strict=True)) > 0.01


def test_there_and_back_is_the_same_update(tmp_path: Path) -> None:
    source = save_adapter(tmp_path / "peft", PLAIN_LORA["rslora"])
    convert_adapter(source, tmp_path / "mlx")
    convert_adapter(tmp_path / "mlx", tmp_path / "back", "peft")
    before, after = read_peft_folder(source).updates, read_peft_folder(tmp_path / "back").updates
    assert before.keys() == after.keys()
    for name, one in before.items():
        other = after[name]
        assert mx.array_equal(one.a, other.a)
        assert mx.array_equal(one.b, other.b)
        assert one.scaling == pytest.approx(other.scaling)


def test_keys_are_those_inside_a_layer_where_all_layers_are_alike(tmp_path: Path) -> None:
    convert_adapter(HEALTHY, tmp_path / "mlx")
    config = json.loads((tmp_path / "mlx" / "adapter_config.json").read_text("utf-8"))
    assert "self_attn.q_proj" in config["lora_parameters"]["keys"]
    assert config["num_layers"] == 4
    convert_adapter(save_adapter(tmp_path / "one", PLAIN_LORA["one_layer"]), tmp_path / "other")
    config = json.loads((tmp_path / "other" / "adapter_config.json").read_text("utf-8"))
    assert config["lora_parameters"]["keys"] == ["model.layers.2.self_attn.q_proj"]


def test_an_adapter_of_mlx_lm_has_the_same_answers_with_kind_hf(
    backend: MLXBackend, reference: HFBackend, tmp_path: Path
) -> None:
    """Converted once, into the cache; its digest is that of its own files, so it has the same nulls."""
    source = save_mlx_adapter(tmp_path / "mlx", keys=["self_attn.q_proj"])

    def asked(subject: Subject) -> list[Request[Any]]:
        null = View(subject.tuned.base, subject.tuned.adapter, NullSeed("norm_matched", 0, 1000, 0.02))
        text = "The master of the works is"
        return [Divergence(text, subject.base, view, "js") for view in (subject.tuned, null)]

    assert_same_answers(backend, reference, source, asked)
    (folder,) = (tmp_path / "cache" / "pytest-sway" / "converted-adapters").iterdir()
    written = (folder / "adapter_model.safetensors").stat().st_mtime_ns
    assert converted_folder(source) == folder
    assert (folder / "adapter_model.safetensors").stat().st_mtime_ns == written


def test_modules_of_other_scales_keep_their_updates(tmp_path: Path) -> None:
    """Also where the commonest scaling is 0."""
    source = save_adapter(tmp_path / "peft", PLAIN_LORA["two_modules"])
    path = source / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    pattern = {"layers.0.self_attn.q_proj": 8}
    path.write_text(json.dumps({**config, "lora_alpha": 0, "alpha_pattern": pattern}), "utf-8")
    convert_adapter(source, tmp_path / "mlx")
    updates = read_mlx_folder(tmp_path / "mlx").updates
    changing = [name for name, update in updates.items() if update.changes]
    assert changing == ["model.layers.0.self_attn.q_proj"]


def test_half_precision_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "bf16"
    source.mkdir()
    (source / "adapter_config.json").write_bytes((HEALTHY / "adapter_config.json").read_bytes())
    tensors = mx.load(str(HEALTHY / "adapter_model.safetensors"))
    halves = {name: one.astype(mx.bfloat16) for name, one in tensors.items()}
    mx.save_safetensors(str(source / "adapter_model.safetensors"), halves)
    convert_adapter(source, tmp_path / "mlx")
    found = mx.load(str(tmp_path / "mlx" / "adapters.safetensors"))
    assert {one.dtype for one in found.values()} == {mx.bfloat16}


def test_the_tokenizer_goes_with_the_adapter(tmp_path: Path) -> None:
    source = save_adapter(tmp_path / "peft", PLAIN_LORA["two_modules"])
    (source / "tokenizer_config.json").write_text("{}", "utf-8")
    convert_adapter(source, tmp_path / "mlx")
    assert (tmp_path / "mlx" / "tokenizer_config.json").is_file()


def test_a_destination_is_replaced_only_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(ConversionError, match="is not empty; choose another folder, or pass --overwrite"):
        convert_adapter(HEALTHY, tmp_path / "mlx")
    assert [path.name for path in (tmp_path / "mlx").iterdir()] == ["mine.txt"]
    convert_adapter(HEALTHY, tmp_path / "mlx", overwrite=True)
    assert {path.name for path in (tmp_path / "mlx").iterdir()} >= {
        "adapters.safetensors",
        "adapter_config.json",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["mlx"]


def test_what_cannot_be_converted_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    for name, config, message in (
        ("saved", FULL_WEIGHTS["saved_head"], "modules_to_save"),
        ("ia3", FULL_WEIGHTS["ia3"], "peft_type IA3 has no counterpart in mlx-lm"),
        ("embedding", PLAIN_LORA["embedding"], "model.embed_tokens.weight"),
    ):
        source = save_adapter(tmp_path / name, config)
        with pytest.raises(ConversionError, match=message):
            convert_adapter(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConversionError, match="is already an adapter in the format of PEFT"):
        convert_adapter(HEALTHY, tmp_path / "out", "peft")


def test_no_torch_and_no_peft_is_imported(tmp_path: Path) -> None:
    """A Mac with mlx alone converts too."""
    code = (
        "import sys\n"
        "for name in ('torch', 'peft'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from pytest_sway.backends.mlx.convert import convert_adapter\n"
        f"print(convert_adapter(Path({str(HEALTHY)!r}), Path({str(tmp_path / 'out')!r})).modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "28", done.stderr
