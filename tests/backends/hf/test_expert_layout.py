"""LoRA on experts: the layouts that versions of PEFT and transformers wrote, each read as it was meant.

The layouts here were compared with what PEFT 0.18.0, 0.18.1, 0.19.0, 0.19.1, 0.20.0 and 0.21.2 write and
compute for the same base.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.hf.backend import HFBackend
from tests.support.hf_models import ROWS, logprobs, reference_logprobs
from tests.support.tiny_models import SIZES, backend_of, random_base

R, ALPHA, EXPERTS = 2, 6, 3
HIDDEN = SIZES["hidden_size"]
COUNTS = {"num_local_experts": EXPERTS, "num_experts_per_tok": 2}


def mixtral(inner: int) -> tuple[Any, Any]:
    sizes = {"intermediate_size": inner, "tie_word_embeddings": True}
    return MixtralForCausalLM, MixtralConfig(**SIZES, **COUNTS, **sizes)


def qwen(inner: int) -> tuple[Any, Any]:
    sizes = {"moe_intermediate_size": inner, "intermediate_size": 48, "head_dim": 16, "num_experts": EXPERTS}
    return Qwen3MoeForCausalLM, Qwen3MoeConfig(**SIZES, **sizes, num_experts_per_tok=2)


def gpt_oss(inner: int) -> tuple[Any, Any]:
    types = ["full_attention"] * SIZES["num_hidden_layers"]
    sizes = {"intermediate_size": inner, "head_dim": 16, "layer_types": types}
    return GptOssForCausalLM, GptOssConfig(**SIZES, **COUNTS, **sizes)


@pytest.fixture(scope="module")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[int], Any], int], Path]:
    """A base of a kind and an inner size, made once."""
    bases: dict[tuple[str, int], Path] = {}

    def make(kind: Callable[[int], Any], inner: int) -> Path:
        key = (kind.__name__, inner)
        if key not in bases:
            bases[key] = tmp_path_factory.mktemp(f"{kind.__name__}-{inner}")
            random_base(bases[key], *kind(inner))
        return bases[key]

    return make


BaseOf = Callable[[Callable[[int], Any], int], Path]


def written(folder: Path, state: dict[str, torch.Tensor], **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()}, folder / "adapter_model.safetensors"
    )
    fields = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": R, "lora_alpha": ALPHA, **config}
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    return folder


def fused(base: Path, folder: Path, targets: list[str], in_is_d2: bool, version: str | None) -> Any:
    """An adapter on fused experts in one of the two layouts, and the model that it means."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    numbers = torch.Generator().manual_seed(3)
    state: dict[str, torch.Tensor] = {}
    for index, layer in enumerate(model.model.layers):
        for target in targets:
            parameter = getattr(layer.mlp.experts, target)
            _, first, second = parameter.shape
            left = torch.randn(EXPERTS, first, R, generator=numbers) * 0.3
            right = torch.randn(EXPERTS, R, second, generator=numbers) * 0.3
            parameter.data += ALPHA / R * left @ right
            a, b = (right, left.transpose(1, 2)) if in_is_d2 else (left.transpose(1, 2), right)
            inner = ".base_layer" if len(targets) > 1 and target == "gate_up_proj" else ""
            name = f"base_model.model.model.layers.{index}.mlp.experts{inner}"
            state[f"{name}.lora_A.weight"] = a.reshape(EXPERTS * R, -1)  # [experts·r, in]
            state[f"{name}.lora_B.weight"] = b.permute(2, 1, 0).reshape(b.shape[-1], -1)  # [out, r·experts]
    parameters = [f"experts.{target}" for target in targets]
    written(folder, state, peft_version=version, target_modules=[], target_parameters=parameters)
    return model


def same(backend: HFBackend, folder: Path, expected: Any) -> None:
    subject = backend.attach(AdapterKey(str(folder)))
    found = logprobs(backend, ROWS, subject.tuned, [0, 0, 0])
    untouched = logprobs(backend, ROWS, subject.base, [0, 0, 0])
    backend.detach(subject)
    for row, one, other in zip(ROWS, found, untouched, strict=True):
        torch.testing.assert_close(one, reference_logprobs(expected, row), atol=5e-4, rtol=0)
        assert float((one - other).abs().max()) > 0.01


GATE_UP, DOWN = ["gate_up_proj"], ["down_proj"]
BOTH = [*GATE_UP, *DOWN]
LAYOUTS = [
    # kind, inner size, what is targeted, whether in is d2, the PEFT that wrote it
    (qwen, 24, BOTH, False, "0.18.0"),
    (qwen, 16, GATE_UP, False, "0.18.1"),  # square
    (mixtral, 32, DOWN, False, "0.19.0"),  # square
    (mixtral, 32, DOWN, True, "0.19.1"),
    (qwen, 16, GATE_UP, True, peft.__version__),
    (gpt_oss, 32, DOWN, False, "0.18.0"),  # square, and transposed itself
    (gpt_oss, 24, BOTH, True, "0.19.0"),
    (gpt_oss, 32, BOTH, True, "0.19.0"),  # one of two is square, the other tells
    (gpt_oss, 32, BOTH, False, "0.21.0"),
    (qwen, 24, DOWN, False, None),  # not square, so nobody need say it
    (qwen, 24, DOWN, True, "0.18.0"),  # another writer than PEFT: the shapes are the fact
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "inner", "targets", "in_is_d2", "version"), LAYOUTS)
def test_fused_experts_are_read_as_they_were_written(
    base_of: BaseOf,
    tmp_path: Path,
    kind: Callable[[int], Any],
    inner: int,
    targets: list[str],
    in_is_d2: bool,
    version: str | None,
) -> None:
    base = base_of(kind, inner)
    same(backend_of(base), tmp_path, fused(base, tmp_path, targets, in_is_d2, version))


def test_a_square_one_of_an_older_peft_is_not_read_transposed(base_of: BaseOf, tmp_path: Path) -> None:
    base = base_of(mixtral, 32)
    same(backend_of(base), tmp_path, fused(base, tmp_path, DOWN, False, "0.18.0"))


@pytest.mark.parametrize(
    ("kind", "version", "says"),
    [
        (mixtral, None, 'Add the version of PEFT that trained the adapter (e.g. "peft_version"'),
        pytest.param(
            mixtral,
            "0.19.1.dev0@UNKNOWN",
            "peft_version 0.19.1.dev0@UNKNOWN in adapter_config.json does not decide",
            marks=pytest.mark.slow,
        ),
        pytest.param(gpt_oss, "0.19.0", "peft_version 0.19.0 in adapter_config", marks=pytest.mark.slow),
        pytest.param(gpt_oss, "0.21.2", "peft_version 0.21.2 in adapter_config", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_distinguished_is_refused(
    base_of: BaseOf, tmp_path: Path, kind: Callable[[int], Any], version: str | None, says: str
) -> None:
    base = base_of(kind, 32)
    fused(base, tmp_path, DOWN, False, version)
    with pytest.raises(BackendError) as found:
        backend_of(base).attach(AdapterKey(str(tmp_path)))
    assert "the experts are 32 × 32, some versions of PEFT" in str(found.value)
    assert says in str(found.value)


def single(base: Path, folder: Path, kinds: dict[str, str], *, router: bool = False, **config: Any) -> Any:
    """An adapter of transformers 4, with a LoRA for each expert's projection; and the model that it means."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    numbers = torch.Generator().manual_seed(4)
    block = "mlp" if kinds.items() <= QWEN.items() else "block_sparse_moe"
    ranks = config.get("rank_pattern", {})
    state: dict[str, torch.Tensor] = {}

    def update(name: str, weight: torch.Tensor) -> None:
        rank = ranks.get(name.rpartition(".")[2], R)
        a = torch.randn(rank, weight.shape[1], generator=numbers) * 0.3
        b = torch.randn(weight.shape[0], rank, generator=numbers) * 0.3
        weight += ALPHA / (rank**0.5 if config.get("use_rslora") else rank) * b @ a
        state[f"base_model.model.{name}.lora_A.weight"] = a
        state[f"base_model.model.{name}.lora_B.weight"] = b

    for index, layer in enumerate(model.model.layers):
        experts, prefix = layer.mlp.experts, f"model.layers.{index}.{block}"
        half = experts.gate_up_proj.shape[1] // 2
        parts = {
            "gate": lambda e, x=experts, h=half: x.gate_up_proj.data[e, :h],
            "up": lambda e, x=experts, h=half: x.gate_up_proj.data[e, h:],
            "down": lambda e, x=experts: x.down_proj.data[e],
        }
        for expert in range(EXPERTS):
            for part, name in kinds.items():
                update(f"{prefix}.experts.{expert}.{name}", parts[part](expert))
        if router:
            update(f"{prefix}.gate", layer.mlp.gate.weight.data)
        update(f"model.layers.{index}.self_attn.q_proj", layer.self_attn.q_proj.weight.data)
    targets = [*kinds.values(), "q_proj", *(["gate"] if router else [])]
    written(folder, state, target_modules=targets, peft_version="0.17.0", **config)
    return model


MIXTRAL = {"gate": "w1", "up": "w3", "down": "w2"}
QWEN = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
SINGLE: list[Any] = [
    (mixtral, MIXTRAL, {}),
    (mixtral, MIXTRAL, {"router": True}),
    (mixtral, {"down": "w2"}, {}),
    (mixtral, {"gate": "w1"}, {}),
    (qwen, QWEN, {"use_rslora": True}),
    (qwen, QWEN, {"rank_pattern": {"down_proj": 3}}),
    (qwen, {"gate": "gate_proj", "up": "up_proj"}, {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "kinds", "options"), SINGLE)
def test_experts_of_transformers_4_are_read_one_by_one(
    base_of: BaseOf,
    tmp_path: Path,
    kind: Callable[[int], Any],
    kinds: dict[str, str],
    options: dict[str, Any],
) -> None:
    base = base_of(kind, 24)
    same(backend_of(base), tmp_path, single(base, tmp_path, kinds, **options))


@pytest.mark.slow
def test_after_single_experts_another_adapter_is_served(base_of: BaseOf, tmp_path: Path) -> None:
    """PEFT's wrappers of fused experts hold one another."""
    base = base_of(qwen, 24)
    backend = backend_of(base)
    for name, kinds in (("all", QWEN), ("down", {"down": "down_proj"})):
        same(backend, tmp_path / name, single(base, tmp_path / name, kinds))
    same(backend, tmp_path / "fused", fused(base, tmp_path / "fused", BOTH, False, "0.18.0"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "change", "says"),
    [
        ({"use_dora": True}, lambda state: None, "supported only for plain LoRA"),
        ({}, lambda state: state.pop(min(state)), "1 missing tensors (first: base_model"),
        ({}, lambda state: state.update({min(state): torch.ones(R, 7)}), "does not fit the base model"),
        ({}, lambda state: state[min(state)].fill_(float("nan")), "tensors contain NaN or infinity"),
        (
            {},
            lambda state: [
                state.update({name.replace("experts.0.", "experts.9."): state.pop(name)})
                for name in list(state)
                if "experts.0." in name
            ],
            "12 missing tensors (first: base_model.model.model.layers.0.mlp.experts.0.",
        ),
    ],
)
def test_broken_single_experts_are_named(
    base_of: BaseOf,
    tmp_path: Path,
    options: dict[str, Any],
    change: Callable[[dict[str, torch.Tensor]], object],
    says: str,
) -> None:
    from safetensors.torch import load_file

    base = base_of(qwen, 24)
    single(base, tmp_path, QWEN, **options)
    state = load_file(tmp_path / "adapter_model.safetensors")
    change(state)
    save_file(state, tmp_path / "adapter_model.safetensors")
    with pytest.raises(BackendError) as found:
        backend_of(base).attach(AdapterKey(str(tmp_path)))
    assert says in str(found.value)
    assert "subject" not in str(found.value)
