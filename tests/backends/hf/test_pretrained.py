"""Every tensor of a loaded model came from its files, and every tensor of its files reached the model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
import yaml
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    Llama4Config,
    Llama4ForConditionalGeneration,
    LlamaConfig,
    LlamaForSequenceClassification,
    LlamaModel,
    MixtralConfig,
    MixtralForCausalLM,
)

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from pytest_sway.backends.hf.base_model.loading_report import LoadingReport, check_report
from pytest_sway.backends.hf.base_model.pretrained import load_pretrained
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.checkpoints import TINY, changed, config, llama, renamed, saved, tensors, without
from tests.support.paths import QUICKSTART

MASKS = {
    "model.layers.0.self_attn.bias": torch.ones(1, 1, 8, 8),
    "model.layers.0.self_attn.masked_bias": torch.tensor(-1e4),
}
ROW = torch.tensor([[5, 900, 77, 1200]])


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return torch.as_tensor(model(ROW).logits)


def with_adapter_inside(folder: Path) -> None:
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder), peft.LoraConfig(target_modules=["q_proj"])
    )
    tensors(lambda _: dict(model.base_model.model.state_dict()))(folder)


REFUSED: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "a lost layer": (
        without("layers.1.mlp"),
        ("3 tensors of the model are missing from the files (first: model.layers.1.mlp.down_proj.weight)",),
    ),
    "a lost norm": (without("model.norm"), ("1 tensors of the model", "model.norm.weight")),
    "a head that is not tied": (without("lm_head"), ("first: lm_head.weight", "tie_word_embeddings: false")),
    "a bias too much": (
        tensors(lambda state: {**state, "model.layers.0.self_attn.q_proj.bias": torch.ones(16)}),
        ("1 tensors in the files are not part of the model (first: model.layers.0.self_attn.q_proj.bias)",),
    ),
    "another shape": (
        changed(lambda tensor: tensor[:5], "layers.1.mlp.gate"),
        ("first: model.layers.1.mlp.gate_proj.weight has the shape [5, 16] in the file, but [24, 16]",),
    ),
    "another vocabulary": (config(vocab_size=5000), ("vocab_size: 5000", "in the files has 4096 rows")),
    "flat shards": (
        changed(lambda tensor: tensor.flatten()[:7], "mlp"),
        ("are one-dimensional, like the shards of DeepSpeed ZeRO-3",),
    ),
    "fewer layers": (config(num_hidden_layers=1), ("the model has 1 layers, but the files contain 2",)),
    "more layers": (config(num_hidden_layers=3), ("the model has 3 layers, but the files contain 2",)),
    "a wrapper of one's own": (
        renamed(lambda name: f"student.net.{name}"),
        ("the names of the missing tensors begin with 'student.net.'",),
    ),
    "an adapter inside": (with_adapter_inside, ("a PEFT adapter was still attached",)),
    "other names": (
        renamed(lambda name: name.replace("layers", "blocks")),
        ("missing from the files", "not part of the model"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_agree_is_refused_by_name(tiny_llama: Path, tmp_path: Path, name: str) -> None:
    change, says = REFUSED[name]
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    change(folder)
    with pytest.raises(BackendError) as found:
        load_pretrained(folder, torch.float32)
    for text in (*says, str(folder)):
        assert text in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: None,
        tensors(lambda state: {**state, **MASKS}),
        tensors(lambda state: {**state, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
        renamed(lambda name: f"model.{name}"),
        config(tie_word_embeddings=True),
    ],
    ids=[
        "as saved",
        "causal masks",
        "rotary frequencies",
        "the body's prefix twice",
        "tied, and both in the file",
    ],
)
def test_what_the_config_explains_is_no_fault(
    tiny_llama: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    folder = shutil.copytree(tiny_llama, tmp_path / "model")
    change(folder)
    found = load_pretrained(folder, torch.float32)
    assert torch.equal(logits(found.model), logits(AutoModelForCausalLM.from_pretrained(tiny_llama)))
    assert not found.notes


def test_a_tied_head_need_not_be_in_the_file(tmp_path: Path) -> None:
    assert load_pretrained(llama(tmp_path, tied=True), torch.float32).model.config.tie_word_embeddings


def test_a_head_that_another_tensor_replaced_is_reported(tiny_llama: Path) -> None:
    """transformers 4 ties over what the file holds, and reports nothing."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.lm_head.weight = model.model.embed_tokens.weight
    with pytest.raises(BackendError, match="differ in the files, but the model ties them"):
        check_report(model, LoadingReport((), (), (), ()), read_checkpoint(tiny_llama))


def test_the_report_of_transformers_4_gives_names_alone(tiny_llama: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    info = {
        "missing_keys": [],
        "unexpected_keys": [],
        "mismatched_keys": ["lm_head.weight"],
        "error_msgs": [],
    }
    report = LoadingReport.of(info, model, read_checkpoint(tiny_llama))
    assert report.mismatched == (("lm_head.weight", (4096, 16), (4096, 16)),)


@pytest.mark.slow
def test_a_body_or_a_classifier_is_named(tmp_path: Path) -> None:
    torch.manual_seed(0)
    body = saved(tmp_path / "body", LlamaModel(LlamaConfig(**TINY)))
    with pytest.raises(
        BackendError, match="saved as LlamaModel, but only models with a language-modelling head"
    ):
        load_pretrained(body, torch.float32)
    settings = LlamaConfig(**TINY, tie_word_embeddings=True)
    reward = saved(tmp_path / "reward", LlamaForSequenceClassification(settings))
    with pytest.raises(BackendError, match=r"score\.weight.*LlamaForSequenceClassification"):
        load_pretrained(reward, torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", ["layers.1.block_sparse_moe.experts.2.w1", "layers.1.block_sparse_moe.experts.2."]
)
def test_a_lost_expert_is_named(tmp_path: Path, part: str) -> None:
    """transformers stacks the experts; what it reports does not name the one that is missing."""
    torch.manual_seed(0)
    settings = MixtralConfig(**TINY, num_local_experts=4, num_experts_per_tok=2)
    folder = saved(tmp_path / "moe", MixtralForCausalLM(settings))
    load_pretrained(folder, torch.float32)
    without(part)(folder)
    with pytest.raises(
        BackendError, match=r"first: model\.layers\.1\.block_sparse_moe\.experts\.2\.w1\.weight"
    ):
        load_pretrained(folder, torch.float32)


@pytest.mark.slow
def test_names_of_an_older_save_are_served(tmp_path: Path) -> None:
    """The first GPT-2 files name no body and hold the causal mask."""
    torch.manual_seed(0)
    settings = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=4096)
    folder = saved(tmp_path / "gpt2", GPT2LMHeadModel(settings))
    expected = logits(AutoModelForCausalLM.from_pretrained(folder))
    renamed(lambda name: name.removeprefix("transformer."))(folder)
    tensors(lambda state: {**state, "h.0.attn.bias": torch.ones(1, 1, 8, 8)})(folder)
    assert torch.equal(logits(load_pretrained(folder, torch.float32).model), expected)


@pytest.mark.slow
def test_the_text_side_of_a_multimodal_model_is_noted(tmp_path: Path) -> None:
    vision = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 28, "patch_size": 14, "vision_output_dim": 16, "projector_input_dim": 16,
        "projector_output_dim": 16,
    }  # fmt: skip
    words = {**TINY, "head_dim": 8, "intermediate_size_mlp": 16, "num_local_experts": 2}
    torch.manual_seed(0)
    multimodal = Llama4ForConditionalGeneration(Llama4Config(text_config=words, vision_config=vision))
    (note,) = load_pretrained(saved(tmp_path / "both", multimodal), torch.float32).notes
    assert "the text part of" in note
    assert "(vision_config) are not loaded" in note


def test_an_adapter_in_the_models_folder_is_not_attached(tiny_llama: Path, tmp_path: Path) -> None:
    """transformers attaches one that it finds there, and the base would be the adapter already."""
    folder = shutil.copytree(tiny_llama, tmp_path / "both")
    torch.manual_seed(1)
    options = peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), options).save_pretrained(folder)
    plain = logits(AutoModelForCausalLM.from_pretrained(tiny_llama))
    assert not torch.equal(logits(AutoModelForCausalLM.from_pretrained(folder)), plain)
    assert torch.equal(logits(load_pretrained(folder, torch.float32).model), plain)
    backend = load_backend(ModelKey("hf", str(folder), dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(str(folder)))
    backend.detach(subject)
    assert not any("next to the model weights" in note for note in subject.notes)  # it is what is evaluated
    backend = load_backend(ModelKey("hf", str(tiny_llama), dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(None, str(folder)))
    backend.detach(subject)
    assert any("contains an adapter_config.json next to the model weights" in note for note in subject.notes)
    assert subject.inert


def test_a_fine_tune_is_accounted_for_too(tiny_llama: Path, tmp_path: Path) -> None:
    backend = load_backend(ModelKey("hf", str(tiny_llama), dtype="fp32", device="cpu"))
    folder = shutil.copytree(tiny_llama, tmp_path / "tuned")
    without("layers.1.mlp")(folder)
    with pytest.raises(BackendError, match=r"fine-tuned model cannot be loaded: .*3 tensors of the model"):
        backend.attach(AdapterKey(None, str(folder)))


CODE = """\
from transformers import LlamaConfig, LlamaForCausalLM


class MineConfig(LlamaConfig):
    model_type = "mine"


class Mine(LlamaForCausalLM):
    config_class = MineConfig
"""


def with_own_code(folder: Path, **values: object) -> Path:
    (folder / "mine.py").write_text(CODE)
    classes = {"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.Mine"}
    config(model_type="mine", auto_map=classes, architectures=["Mine"], **values)(folder)
    return folder


@pytest.mark.slow
def test_both_sides_bring_their_code_where_the_spec_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    base, tuned = (with_own_code(llama(tmp_path / name, seed=seed)) for seed, name in enumerate(["b", "t"]))
    key = ModelKey("hf", str(base), dtype="fp32", device="cpu")
    with pytest.raises(BackendError, match="trust_remote_code: true"):
        load_backend(key)
    backend = load_backend(replace(key, trust_remote_code=True))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tuned / name).unlink()  # its tokenizer is the base's
    subject = backend.attach(AdapterKey(None, str(tuned)))
    backend.detach(subject)
    assert not subject.inert


@pytest.mark.slow
def test_nothing_is_stored_of_a_model_that_is_refused(tmp_path: Path) -> None:
    """The answers of random weights would be found again under the file's digest."""
    without("layers.1.mlp")(llama(tmp_path / "base"))
    side = {"kind": "hf", "base": "./base"}
    spec = {
        "models": {"base": side, "ft": {**side, "adapter": "./adapter"}},
        "suite": [{"name": "moved", "kind": "delta_kl", "prompts": ["a", "b"]}],
    }
    shutil.copytree(QUICKSTART / "adapters" / "healthy", tmp_path / "adapter")
    (tmp_path / "sway.yaml").write_text(yaml.safe_dump(spec))
    environment = {**os.environ, "SWAY_NULL_CACHE_DIR": str(tmp_path / "store")}
    command = [sys.executable, "-m", "pytest", "sway.yaml", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "3 tensors of the model are missing from the files" in done.stdout
    assert not [path for path in (tmp_path / "store").glob("**/*") if path.is_file()]
