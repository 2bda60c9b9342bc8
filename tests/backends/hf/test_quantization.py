"""Bases in nf4, fp4 and int8: their numbers are those of a plain model with the dequantized weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.base_model import quantization
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.lora_factors import size_of
from pytest_sway.requests import NullSeed, View
from tests.support.hf_models import ROWS, logprobs, reference_logprobs
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import BASE, CONVERTED_LORA, FULL_WEIGHTS, base_model, save_adapter
from tests.support.quantized_models import save_quantized, with_bnb_weights
from tests.support.rounding import tolerance

HEALTHY = QUICKSTART / "adapters" / "healthy"
START = [0, 0, 0]


def key_of(folder: Path = BASE, **options: Any) -> ModelKey:
    return ModelKey("hf", str(folder), dtype="fp32", device="cpu", **options)


@pytest.fixture(
    scope="module", params=["nf4", *(pytest.param(name, marks=pytest.mark.slow) for name in ("fp4", "int8"))]
)
def backend(request: pytest.FixtureRequest) -> Iterator[HFBackend]:
    loaded = load_backend(key_of(quantization=request.param))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def nf4() -> Iterator[HFBackend]:
    loaded = load_backend(key_of(quantization="nf4"))
    yield loaded
    loaded.close()


def off(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))


def plain_model(name: str) -> Any:
    return with_bnb_weights(base_model(), name)


def test_base_adapter_scale_and_null(backend: HFBackend) -> None:
    name = str(backend._base.quantization)
    subject = backend.attach(AdapterKey(str(HEALTHY)))
    try:
        model = PeftModel.from_pretrained(plain_model(name), HEALTHY).eval()
        allowed = tolerance(plain_model(name), ROWS)
        with model.disable_adapter():
            base = [reference_logprobs(model, row) for row in ROWS]
        assert off(base, [reference_logprobs(base_model(), row) for row in ROWS]) > 0.05  # it is quantized
        assert off(logprobs(backend, ROWS, subject.base, START), base) < allowed
        for scale in (1.0, 0.5):
            for layer in model.modules():
                if hasattr(layer, "lora_alpha"):
                    layer.scaling["default"] = layer.lora_alpha["default"] / layer.r["default"] * scale
            expected = [reference_logprobs(model, row) for row in ROWS]
            assert off(logprobs(backend, ROWS, subject.tuned.scaled(scale), START), expected) < allowed
        null = View(subject.tuned.base, subject.tuned.adapter, NullSeed("norm_matched", 0, 1000, 0.02))
        assert off(logprobs(backend, ROWS, null, START), null_logprobs(name, null)) < allowed
    finally:
        backend.detach(subject)


def null_logprobs(name: str, null: View) -> list[torch.Tensor]:
    """What an unquantized backend says whose base has the dequantized numbers."""
    loaded = load_backend(key_of())
    model = with_bnb_weights(loaded._model, name)
    loaded._check_logits = loaded._base_logits()
    subject = loaded.attach(AdapterKey(str(HEALTHY)))
    assert model is loaded._model
    same = View(subject.tuned.base, subject.tuned.adapter, null.null)
    return logprobs(loaded, ROWS, same, START)


def test_a_text_is_scored_as_if_by_itself_and_without_what_follows_it(backend: HFBackend) -> None:
    """LLM.int8()'s own forward is not: which columns it rounds depends on the whole batch."""
    view = View(backend._view_digest())
    together = logprobs(backend, ROWS, view, START)
    alone = [logprobs(backend, [row], view, [0])[0] for row in ROWS]
    begun = [logprobs(backend, [row[:3]], view, [0])[0] for row in ROWS]
    allowed = tolerance(plain_model(str(backend._base.quantization)), ROWS)
    assert off(together, alone) < allowed
    assert off([whole[:3] for whole in together], begun) < allowed


@pytest.mark.slow
def test_a_fleet_and_what_each_writes(backend: HFBackend) -> None:
    before = backend._check_logits.clone()
    for adapter in ("healthy", "random"):
        subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / adapter)))
        model = PeftModel.from_pretrained(
            plain_model(str(backend._base.quantization)), QUICKSTART / "adapters" / adapter
        ).eval()
        written = backend.generate(ROWS, [subject.tuned] * 3, 6)
        for row, found in zip(ROWS, written, strict=True):
            ids = torch.tensor([row])
            plain = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False
            )
            assert list(found) == plain[0, len(row) : len(row) + len(found)].tolist()
        backend.detach(subject)
    assert torch.equal(backend._base_logits(), before)


@pytest.mark.slow
def test_what_files_hold_is_read_from_them(tmp_path: Path, nf4: HFBackend) -> None:
    stored = load_backend(key_of(save_quantized(tmp_path / "base-bnb-4bit", "nf4")))
    assert stored._base.quantization == "nf4"
    views = [View(one._view_digest()) for one in (stored, nf4)]
    assert off(*(logprobs(one, ROWS, v, START) for one, v in zip((stored, nf4), views, strict=True))) == 0.0
    stored.close()
    again = load_backend(key_of(tmp_path / "base-bnb-4bit", quantization="nf4"))  # the spec may say it too
    again.close()
    with pytest.raises(BackendError, match=r"found int8, but the weights in .* are already quantized to nf4"):
        load_backend(key_of(tmp_path / "base-bnb-4bit", quantization="int8"))


def test_answers_in_another_quantization_are_another_models(nf4: HFBackend) -> None:
    plain = load_backend(key_of())
    assert plain._view_digest() != nf4._view_digest()
    plain.close()


def test_memory_is_that_of_the_quantized_weights(nf4: HFBackend) -> None:
    plain = load_backend(key_of())
    sizes = [size_of(one._model.parameters()) for one in (nf4, plain)]
    assert sizes[0] < 0.55 * sizes[1]  # the embeddings are not quantized
    subjects = [one.attach(AdapterKey(str(HEALTHY))) for one in (nf4, plain)]
    kept = [one._adapter._null_weights.most for one in (nf4, plain)]  # type: ignore[union-attr]
    assert kept[0] < kept[1]
    for one, subject in zip((nf4, plain), subjects, strict=True):
        one.detach(subject)
    plain.close()


@pytest.mark.parametrize(
    "name",
    [
        "dora",
        pytest.param("saved_head", marks=pytest.mark.slow),
        pytest.param("pissa", marks=pytest.mark.slow),
    ],
)
def test_what_changes_the_bases_own_weights_is_refused(nf4: HFBackend, tmp_path: Path, name: str) -> None:
    folder = save_adapter(tmp_path, {**CONVERTED_LORA, **FULL_WEIGHTS}[name])
    with pytest.raises(
        BackendError, match=r"is not plain LoRA: .* these weights are quantized\. Use the unquantized base"
    ):
        nf4.attach(AdapterKey(str(folder)))
    subject = nf4.attach(AdapterKey(str(HEALTHY)))  # and the next one is served
    nf4.detach(subject)


def test_a_full_fine_tune_is_refused(nf4: HFBackend, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="these weights are quantized"):
        nf4.attach(AdapterKey(None, model=str(BASE)))
    quantized = save_quantized(tmp_path / "tuned", "nf4")
    plain = load_backend(key_of())
    with pytest.raises(
        BackendError, match=r"the fine-tuned model .* is quantized \(nf4\), but the base model is not"
    ):
        plain.attach(AdapterKey(None, model=str(quantized)))
    plain.close()


@pytest.mark.parametrize("method", ["awq", "gptq", "hqq", "fp8", "compressed-tensors", "torchao", "quanto"])
def test_every_other_quantization_is_named(tmp_path: Path, method: str) -> None:
    shutil.copytree(BASE, tmp_path / "base")
    path = tmp_path / "base" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "quantization_config": {"quant_method": method}}), "utf-8")
    with pytest.raises(BackendError, match=f"is quantized with {method}, but only bitsandbytes is supported"):
        load_backend(key_of(tmp_path / "base"))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"needs bitsandbytes; .*pip install 'pytest-sway\[bnb\]'"):
        load_backend(key_of(quantization="nf4"))
