"""Adapters of every form, one after another on one base: none sees that another was there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_sway.backends.base import AdapterKey, BackendError, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Divergence
from tests.support.hf_models import MODEL_KEY, ROWS, logprobs, reference_logprobs
from tests.support.peft_adapters import (
    BASE,
    CONVERTED_LORA,
    FULL_WEIGHTS,
    PLAIN_LORA,
    base_model,
    save_adapter,
    train_and_save,
)
from tests.support.rounding import tolerance

FORMS = {
    "plain": PLAIN_LORA["plain"],
    "pissa": CONVERTED_LORA["pissa"],
    "plain2": PLAIN_LORA["two_modules"],
    "inert": PLAIN_LORA["rslora"],
    "dora": FULL_WEIGHTS["dora"],
    "saved": FULL_WEIGHTS["saved_tied"],
    "bias": FULL_WEIGHTS["lora_bias"],
}


def measured(backend: HFBackend, engine: Engine, folder: Path) -> tuple[Subject, list[object]]:
    """All that a subject answers: divergences over the engine, log-probabilities of both sides and of λ."""
    subject = backend.attach(AdapterKey(str(folder)))
    try:
        engine.begin(subject)
        asked = [Divergence(text, subject.base, subject.tuned) for text in ("The harbour was", "She said")]
        answers: list[object] = [engine.answer(asked)[request] for request in asked]
        for view in (subject.tuned.scaled(0.5), subject.base, subject.tuned):
            answers += [tensor.tolist() for tensor in logprobs(backend, ROWS, view, [0, 0, 0])]
        return subject, answers
    finally:
        backend.detach(subject)


def weights(backend: HFBackend) -> dict[str, tuple[int, torch.Tensor]]:
    own = backend._model.state_dict(keep_vars=True)
    return {path: (id(tensor), tensor.detach().clone()) for path, tensor in own.items()}


@pytest.mark.slow
def test_every_subject_of_a_fleet_answers_as_if_alone(tmp_path: Path) -> None:
    folders = {
        name: save_adapter(tmp_path / name, config, size=0.0 if name == "inert" else 0.05)
        for name, config in FORMS.items()
    }
    fleet = load_backend(MODEL_KEY)
    engine = Engine(fleet)
    before = weights(fleet)
    for name in [*FORMS, "plain"]:
        subject, together = measured(fleet, engine, folders[name])
        after = weights(fleet)
        assert list(after) == list(before)
        for path, (identity, tensor) in before.items():
            assert after[path][0] == identity, path
            assert torch.equal(after[path][1], tensor), path
        single = load_backend(MODEL_KEY)
        alone, apart = measured(single, Engine(single), folders[name])
        single.close()
        assert (subject.tuned, subject.inert) == (alone.tuned, alone.inert)
        assert together == apart, name
        assert subject.inert == (name == "inert")
    fleet.close()


def test_a_folder_of_adapters_names_them(tmp_path: Path) -> None:
    for name in ("sft", "dpo"):
        save_adapter(tmp_path / "runs" / name, PLAIN_LORA["one_layer"])
    backend = load_backend(MODEL_KEY)
    with pytest.raises(BackendError, match=r"its subfolders contain adapters \(dpo, sft\)\. Use one of"):
        backend.attach(AdapterKey(str(tmp_path / "runs")))
    shutil.copytree(tmp_path / "runs" / "sft", tmp_path / "runs", dirs_exist_ok=True)
    subject = backend.attach(AdapterKey(str(tmp_path / "runs")))
    assert subject.notes[-1] == (
        "only the adapter directly in the folder runs is evaluated; to evaluate an adapter in a subfolder, "
        "set models.ft.adapter to that subfolder (dpo, sft)"
    )
    backend.close()


def test_a_vocabulary_of_its_own_needs_a_base_of_its_own(tmp_path: Path) -> None:
    """The advice, followed: with the base saved anew the adapter is scored right."""
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.add_tokens(["<new>"])
    torch.manual_seed(0)
    larger = base_model()
    larger.resize_token_embeddings(len(tokenizer))
    larger.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    config = FULL_WEIGHTS["saved_tied"]
    model = train_and_save(tmp_path / "ft", config, base=larger)
    tokenizer.save_pretrained(tmp_path / "ft")
    small = load_backend(MODEL_KEY)
    with pytest.raises(BackendError, match=r"'<new>' with the id 4096.*save the base model with the voc"):
        small.attach(AdapterKey(str(tmp_path / "ft")))
    (tmp_path / "ft" / "tokenizer_config.json").unlink()
    with pytest.raises(
        BackendError, match=r"with shape \[4097, 256\], but in the base model the .*save the base model"
    ):
        small.attach(AdapterKey(str(tmp_path / "ft")))
    small.close()
    backend = load_backend(type(MODEL_KEY)("hf", str(tmp_path / "base"), dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(str(tmp_path / "ft")))
    rows = [[5, 4096, 77, 12], [4096, 3]]
    tuned = logprobs(backend, rows, subject.tuned, [0, 0])
    base = logprobs(backend, rows, subject.base, [0, 0])
    backend.detach(subject)
    untouched = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32).eval()
    allowed = tolerance(untouched, rows)
    for row, one, two in zip(rows, tuned, base, strict=True):
        torch.testing.assert_close(one, reference_logprobs(model, row), atol=5e-4, rtol=0)
        torch.testing.assert_close(two, reference_logprobs(untouched, row), atol=allowed, rtol=0)
    backend.close()
