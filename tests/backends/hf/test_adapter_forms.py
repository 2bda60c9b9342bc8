"""Every form of adapter: the numbers of PEFT's own forward on a model of its own, or a refusal."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import EvaConfig, PeftModel, get_peft_model, initialize_lora_eva_weights
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.hf.adapter_files import adapter_config
from pytest_sway.backends.hf.adapter_forms import merged_adapter
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.lora_factors import product_norm
from pytest_sway.backends.null_population import NullPlan, null_population
from pytest_sway.requests import RequestError
from tests.support.hf_models import MODEL_KEY, ROWS, logprobs, reference_logprobs
from tests.support.peft_adapters import (
    BASE,
    CONVERTED_LORA,
    FULL_WEIGHTS,
    LINEAR,
    base_model,
    lora,
    save_adapter,
    train_and_save,
)
from tests.support.rounding import tolerance

FROM_THE_START = [0, 0, 0]
LINEAR_WEIGHTS = [f"{'self_attn' if name[1] == '_' else 'mlp'}.{name}.weight" for name in LINEAR]


@pytest.fixture(scope="module")
def untouched() -> list[torch.Tensor]:
    return truths(base_model())


def truths(model: Any) -> list[torch.Tensor]:
    return [reference_logprobs(model, row) for row in ROWS]


def off(found: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True))


def scored(backend: HFBackend, folder: Path, *scales: float) -> list[list[torch.Tensor]]:
    """What the base and the tuned view at each λ answer; the adapter is taken off again."""
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        views = [subject.base, *(subject.tuned.scaled(scale) for scale in scales)]
        return [logprobs(backend, ROWS, view, FROM_THE_START) for view in views]
    finally:
        backend.detach(subject)


COMMON = {"pissa", "olora", "dora", "saved_head", "lora_bias", "tokens", "ia3", "loha", "adalora", "vera"}
FORMS = [
    pytest.param(name, marks=() if name in COMMON else pytest.mark.slow)
    for name in {**CONVERTED_LORA, **FULL_WEIGHTS}
]


@pytest.mark.parametrize("name", FORMS)
def test_every_form_scores_like_the_model_that_was_trained(
    backend: HFBackend, untouched: list[torch.Tensor], tmp_path: Path, name: str
) -> None:
    model = train_and_save(tmp_path, {**CONVERTED_LORA, **FULL_WEIGHTS}[name])
    base, tuned = scored(backend, tmp_path, 1.0)
    expected = truths(model)
    assert off(expected, untouched) > 0.01  # the adapter does something
    assert off(tuned, expected) < 5e-4
    assert off(base, untouched) < tolerance(base_model(), ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dora", "saved_embedding", "lora_bias", "ia3"])
def test_a_scale_blends_the_weights_of_both_sides(
    backend: HFBackend, untouched: list[torch.Tensor], tmp_path: Path, name: str
) -> None:
    """W + λ·(W′ − W), written into a third model by hand; 0 is the base, bitwise."""
    whole = merged_by_hand(train_and_save(tmp_path, FULL_WEIGHTS[name]))
    base, none, half, more = scored(backend, tmp_path, 0.0, 0.5, 1.25)
    assert off(none, base) == 0.0
    for scale, found in ((0.5, half), (1.25, more)):
        reference = base_model()
        for path, tensor in whole.state_dict().items():
            old = reference.state_dict().get(path, torch.zeros_like(tensor))
            module, _, last = path.rpartition(".")
            blended = torch.nn.Parameter(old + scale * (tensor - old))
            setattr(reference.get_submodule(module), last, blended)
        assert off(found, truths(reference)) < 5e-4
        assert off(truths(reference), untouched) > 0.01


def merged_by_hand(wrapped: Any) -> Any:
    """PEFT's merge, after giving it biases to merge into and parting the tied embeddings."""
    model = wrapped.get_base_model()
    for module in model.modules():
        inner = getattr(module, "base_layer", None)
        if isinstance(inner, torch.nn.Linear) and wrapped.peft_config["default"].peft_type == "LORA":
            inner.bias = torch.nn.Parameter(torch.zeros(inner.out_features))
    return wrapped.merge_and_unload()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVERTED_LORA)
def test_a_rebased_update_scales_and_has_nulls_of_its_size(
    backend: HFBackend, untouched: list[torch.Tensor], tmp_path: Path, name: str
) -> None:
    """λ multiplies W′ − W, the true update, which the rewritten base does not show."""
    whole = train_and_save(tmp_path, CONVERTED_LORA[name]).merge_and_unload().state_dict()
    subject = backend.attach(AdapterKey(str(tmp_path)))
    try:
        half = logprobs(backend, ROWS, subject.tuned.scaled(0.5), FROM_THE_START)
        (null,) = null_population(subject, NullPlan("norm_matched", 1, 0, 0.02)).views
        norms = {}
        lora = backend._attached_adapter
        for module in list(lora.layers):
            difference = whole[f"{module}.weight"] - lora.layers[module].base_layer.weight
            norms[module] = float(difference.norm())
            real = product_norm(*lora.factors(module)) * lora._scaling[module]
            assert real == pytest.approx(norms[module], rel=1e-3)
        noise = logprobs(backend, ROWS, null, FROM_THE_START)
        for module, norm in norms.items():
            drawn = product_norm(*lora.factors(module, "null"))
            assert drawn * lora._scaling[module] == pytest.approx(norm, rel=1e-3)
    finally:
        backend.detach(subject)
    assert off(noise, untouched) > 0.01
    reference = base_model()
    with torch.no_grad():
        for path, tensor in reference.state_dict().items():
            tensor.lerp_(whole[path], 0.5)
    assert off(half, truths(reference)) < 5e-4


@pytest.mark.parametrize("name", ["pissa", "dora", "olora"])
def test_an_untrained_adapter_is_inert_whatever_its_form(
    backend: HFBackend, tmp_path: Path, name: str
) -> None:
    save_adapter(tmp_path, {**CONVERTED_LORA, **FULL_WEIGHTS}[name], size=0.0)
    subject = backend.attach(AdapterKey(str(tmp_path)))
    found = [logprobs(backend, ROWS, view, FROM_THE_START) for view in (subject.base, subject.tuned)]
    backend.detach(subject)
    assert subject.inert
    assert "inert" in subject.notes[0]
    assert off(*found) < 5e-4


@pytest.mark.parametrize("name", ["pissa", "olora"])
def test_a_start_computed_on_another_machine_is_inert(backend: HFBackend, tmp_path: Path, name: str) -> None:
    """Singular vectors in fp32 differ by the number of threads, 2e-5 of B₀·A₀; a step of training is more."""
    save_adapter(tmp_path, CONVERTED_LORA[name], size=0.0)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    for change, inert in ((2e-5, True), (1e-3, False)):
        torch.manual_seed(0)
        moved = {
            key: value + change * value.norm() * torch.randn_like(value) / value.numel() ** 0.5
            for key, value in weights.items()
        }
        save_file(moved, tmp_path / "adapter_model.safetensors")
        subject = backend.attach(AdapterKey(str(tmp_path)))
        backend.detach(subject)
        assert subject.inert is inert


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"path_initial_model_for_weight_conversion": "start"}])
def test_a_converted_pissa_is_the_same_adapter(
    backend: HFBackend, tmp_path: Path, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT's own conversion subtracts the start, too; both folders must score alike."""
    monkeypatch.chdir(tmp_path)
    start = get_peft_model(base_model(), copy.deepcopy(CONVERTED_LORA["pissa"]))
    start.peft_config["default"].init_lora_weights = True  # as PEFT's guide says: the start is plain
    start.save_pretrained("start")
    model = train_and_save(tmp_path / "as_trained", CONVERTED_LORA["pissa"])
    model.save_pretrained("saved", **options)
    assert (load_config(tmp_path / "saved")["init_lora_weights"] is True) == bool(options)
    _, tuned = scored(backend, tmp_path / "saved", 1.0)
    assert off(tuned, truths(model)) < 5e-4


def load_config(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "adapter_config.json").read_text()))


@pytest.mark.slow
def test_inits_that_only_choose_a_start_are_plain(backend: HFBackend, tmp_path: Path) -> None:
    """EVA (from data) and MiCA (minor components) leave the base alone: factors with nulls."""
    rows = [{"input_ids": torch.arange(64 * k, 64 * k + 64)[None] % 4096} for k in range(8)]
    eva = get_peft_model(base_model(), lora(init_lora_weights="eva", eva_config=EvaConfig(rho=2.0)))
    initialize_lora_eva_weights(eva, rows, show_progress_bar=False)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in eva.named_parameters():
            if "lora_B" in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    eva.save_pretrained(tmp_path / "eva")
    mica = train_and_save(tmp_path / "mica", lora(init_lora_weights="mica"))
    for model, name in ((eva.eval(), "eva"), (mica, "mica")):
        subject = backend.attach(AdapterKey(str(tmp_path / name)))
        tuned = logprobs(backend, ROWS, subject.tuned, FROM_THE_START)
        backend.detach(subject)
        assert subject.form == "factors"
        assert off(tuned, truths(model)) < 5e-4


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_trained_biases_are_the_adapters_and_never_the_bases(tmp_path: Path, bias: str) -> None:
    """Loaded by PEFT they overwrite the base's own, with the adapter off, too."""
    shape = AutoConfig.from_pretrained(BASE, attention_bias=True, dtype="float32")
    torch.manual_seed(3)
    raw = AutoModelForCausalLM.from_config(shape).eval()
    with torch.no_grad():
        for name, parameter in raw.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    raw.save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(BASE).save_pretrained(tmp_path / "base")
    expected = truths(raw)
    model = train_and_save(
        tmp_path / "ft", lora(bias=bias, target_modules=["q_proj"]), base=copy.deepcopy(raw), size=0.3
    )
    biased = load_backend(dataclasses.replace(MODEL_KEY, base=str(tmp_path / "base")))
    base, tuned = scored(biased, tmp_path / "ft", 1.0)
    biased.close()
    assert off(base, expected) < tolerance(raw, ROWS)
    assert off(tuned, truths(model)) < 5e-4
    assert off(tuned, base) > 0.01


def test_only_what_changed_is_kept(backend: HFBackend, tmp_path: Path) -> None:
    save_adapter(tmp_path, FULL_WEIGHTS["tokens"])
    subject = backend.attach(AdapterKey(str(tmp_path)))
    kept = set(backend._attached_adapter._tuned)
    backend.detach(subject)
    targeted = {f"model.layers.{i}.{part}" for i in range(4) for part in LINEAR_WEIGHTS}
    assert kept == {*targeted, "model.embed_tokens.weight", "lm_head.weight"}


def test_a_view_of_another_adapter_is_refused(backend: HFBackend, tmp_path: Path) -> None:
    save_adapter(tmp_path, FULL_WEIGHTS["dora"])
    subject = backend.attach(AdapterKey(str(tmp_path)))
    try:
        stranger = dataclasses.replace(subject.tuned, adapter="other")
        with pytest.raises(RequestError, match="is not attached"):
            logprobs(backend, ROWS, stranger, FROM_THE_START)
    finally:
        backend.detach(subject)


def test_what_no_weights_can_do_is_found_out_by_its_answers(
    backend: HFBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of forms is one guard, the answers are another: with the first one open, aLoRA is refused."""
    save_adapter(tmp_path, lora(alora_invocation_tokens=[1]))
    monkeypatch.setattr(
        adapter_config, "MERGED_LORA_FIELDS", adapter_config.MERGED_LORA_FIELDS | {"alora_invocation_tokens"}
    )
    with pytest.raises(BackendError, match="effect is not equivalent to a change of the base model"):
        backend.attach(AdapterKey(str(tmp_path)))


def test_a_merge_that_answers_otherwise_is_refused(
    backend: HFBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT merges DoRA on tied embeddings into the head, too; parting them is what makes it right."""
    save_adapter(tmp_path, FULL_WEIGHTS["dora_embedding"])
    monkeypatch.setattr(merged_adapter, "_untie_weights", lambda *_: None)
    with pytest.raises(
        BackendError, match=r"\(difference up to \d.*not equivalent to a change of the base model"
    ):
        backend.attach(AdapterKey(str(tmp_path)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop(min(state)), "1 missing tensors (first: base_model"),
        (lambda state: state.update({"base_model.model.x.hada_w1_a": torch.zeros(1)}), "1 unexpected"),
        (lambda state: state[min(state)].fill_(float("inf")), "1 of 32 tensors contain NaN or infinity"),
        (lambda state: state.update({min(state): torch.zeros(3, 3)}), "does not fit the base model"),
        (
            lambda state: state.update({"base_model.model.lm_head.weight": torch.zeros(4100, 256)}),
            "contains lm_head.weight with shape [4100, 256], but in the base model the shape is [4096, 256]",
        ),
    ],
)
def test_a_broken_whole_adapter_is_reported(
    backend: HFBackend, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], says: str
) -> None:
    save_adapter(tmp_path, FULL_WEIGHTS["loha"])
    state = load_file(tmp_path / "adapter_model.safetensors")
    change(state)
    save_file(state, tmp_path / "adapter_model.safetensors")
    with pytest.raises(BackendError) as found:
        backend.attach(AdapterKey(str(tmp_path)))
    assert says in str(found.value)
    assert "\n" not in str(found.value)


def test_an_init_that_does_something_else_is_refused(tmp_path: Path) -> None:
    """OLoRA on GPT-2's transposed layers takes B·A out in the wrong orientation."""
    torch.manual_seed(0)
    raw = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=4096, n_positions=64))
    raw.save_pretrained(tmp_path / "base")
    AutoTokenizer.from_pretrained(BASE).save_pretrained(tmp_path / "base")
    gpt = load_backend(dataclasses.replace(MODEL_KEY, base=str(tmp_path / "base")))
    for init, target in (("pissa", ["c_attn"]), ("olora", ["attn.c_proj"])):
        config = lora(init_lora_weights=init, target_modules=target, fan_in_fan_out=True)
        model = train_and_save(tmp_path / init, config, base=copy.deepcopy(raw.eval()))
        if init == "pissa":
            _, tuned = scored(gpt, tmp_path / init, 1.0)
            assert off(tuned, truths(model)) < 5e-4
        else:
            with pytest.raises(
                BackendError, match="does not subtract the initial B·A from the weight of transformer"
            ):
                gpt.attach(AdapterKey(str(tmp_path / init)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dora", "pissa", "ia3", "saved_head"])
def test_in_bf16_the_scores_are_those_of_bf16(tmp_path: Path, name: str) -> None:
    """PEFT's unmerged forward in bf16 is itself this far from fp32; the merge must not be farther."""
    exact = truths(train_and_save(tmp_path, {**CONVERTED_LORA, **FULL_WEIGHTS}[name]))
    coarse = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.bfloat16).eval()
    peft = PeftModel.from_pretrained(coarse, tmp_path).eval()
    backend = load_backend(dataclasses.replace(MODEL_KEY, dtype="bf16"))
    _, tuned = scored(backend, tmp_path, 1.0)
    backend.close()
    assert off(tuned, exact) < 2 * off(truths(peft), exact)


def test_rounding_as_large_as_the_update_is_reported(tmp_path: Path) -> None:
    save_adapter(tmp_path, lora(use_dora=True), size=1e-4)
    for dtype, notes in (("fp32", 0), ("bf16", 1)):
        backend = load_backend(dataclasses.replace(MODEL_KEY, dtype=dtype))
        subject = backend.attach(AdapterKey(str(tmp_path)))
        backend.detach(subject)
        backend.close()
        rounded = [note for note in subject.notes if "rounding the tuned weights" in note]
        assert len(rounded) == notes
    assert "dtype: fp32" in rounded[0]
