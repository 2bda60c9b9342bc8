"""Adapters on the experts of a mixture, which mlx-lm holds stacked: LoRA of every expert of a layer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.mlx.load_backend import load_backend
from pytest_sway.requests import NullSeed, View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.hf_models import ROWS
from tests.support.mlx_models import reference_logits, save_mlx_adapter
from tests.support.tiny_models import SIZES, random_base


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moe") / "base"
    sizes = {"moe_intermediate_size": 24, "num_experts": 4, "num_experts_per_tok": 2, "head_dim": 16}
    random_base(folder, Qwen3MoeForCausalLM, Qwen3MoeConfig(**SIZES, **sizes, decoder_sparse_step=1))
    path = folder / "config.json"  # mlx-lm's own loader needs the names of transformers 4
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "num_experts": 4, "rope_theta": 10000.0}), "utf-8")
    return folder


@pytest.mark.slow
def test_experts_score_as_mlx_lm_itself_scores_them(mixture: Path, tmp_path: Path) -> None:
    keys = ["mlp.switch_mlp.gate_proj", "mlp.switch_mlp.down_proj", "self_attn.q_proj"]
    adapter = save_mlx_adapter(tmp_path / "adapter", keys=keys, layers=2, base=mixture)
    backend = load_backend(ModelKey("mlx", str(mixture), dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(str(adapter)))

    def off(view: View, folder: Path | None) -> float:
        texts = [TokenSequence(tuple(row), 0) for row in ROWS]
        found = {
            text: np.array(piece)
            for text, _, piece in backend.logprobs([PackedRow((text,)) for text in texts], view, 1000)
        }
        expected = [np.array(one) for one in reference_logits(folder, ROWS, mixture)]
        return max(float(np.abs(found[text] - one).max()) for text, one in zip(texts, expected, strict=True))

    assert off(subject.tuned, adapter) < 1e-4
    assert off(subject.tuned, None) > 0.01
    assert off(subject.base, None) < 1e-4
    assert off(subject.tuned.scaled(0.0), None) < 1e-4
    null = View(subject.tuned.base, subject.tuned.adapter, NullSeed("norm_matched", 0, 1000, 0.02))
    assert off(null, None) > 1e-3
    assert off(null, adapter) > 1e-3
    backend.detach(subject)
    backend.close()
