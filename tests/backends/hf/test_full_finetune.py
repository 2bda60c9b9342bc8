"""A full fine-tune is a second model of the same architecture, served as changed tensors from the first."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend
from tests.support.hf_models import MODEL_KEY, ROWS, logprobs, reference_logprobs
from tests.support.peft_adapters import (
    BASE,
    CONVERTED_LORA,
    FULL_WEIGHTS,
    PLAIN_LORA,
    base_model,
    train_and_save,
)
from tests.support.rounding import tolerance

FROM_THE_START = [0, 0, 0]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose every second matrix was moved, in a folder with the base's tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tuned"
    torch.manual_seed(5)
    model = base_model()
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            if index % 2 == 0:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(BASE).save_pretrained(folder)
    return folder


def off(found: list[torch.Tensor], model: Any) -> float:
    return max(
        float((a - reference_logprobs(model, row)).abs().max()) for a, row in zip(found, ROWS, strict=True)
    )


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_full_fine_tune_scores_like_the_model_itself(tuned: Path, dtype: str) -> None:
    """In bf16 too: both sides are rounded as they would be alone, so nothing is left to differ by."""
    torch_dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]
    backend = load_backend(dataclasses.replace(MODEL_KEY, dtype=dtype))
    subject = backend.attach(AdapterKey(None, str(tuned)))
    found = logprobs(backend, ROWS, subject.tuned, FROM_THE_START)
    base = logprobs(backend, ROWS, subject.base, FROM_THE_START)
    backend.detach(subject)
    alone = load_backend(dataclasses.replace(MODEL_KEY, base=str(tuned), dtype=dtype))
    view = dataclasses.replace(subject.base, base=alone._base.digest)
    expected = logprobs(alone, ROWS, view, FROM_THE_START)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    plain = AutoModelForCausalLM.from_pretrained(tuned, dtype=torch_dtype).eval()
    assert off(found, plain) < (tolerance(plain, ROWS) if dtype == "fp32" else 0.1)
    assert off(base, plain) > 0.5
    assert not [note for note in subject.notes if "rounded" in note]
    assert subject.form == "tensors"
    backend.close()
    alone.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["plain", "pissa", "dora"])
def test_an_adapter_on_the_fine_tune_is_part_of_it(
    backend: HFBackend, tuned: Path, tmp_path: Path, form: str
) -> None:
    base = AutoModelForCausalLM.from_pretrained(tuned, dtype=torch.float32)
    model = train_and_save(tmp_path, {**PLAIN_LORA, **CONVERTED_LORA, **FULL_WEIGHTS}[form], base=base)
    subject = backend.attach(AdapterKey(str(tmp_path), str(tuned)))
    found = logprobs(backend, ROWS, subject.tuned, FROM_THE_START)
    backend.detach(subject)
    alone = backend.attach(AdapterKey(None, str(tuned)))
    backend.detach(alone)
    assert off(found, model) < 5e-4
    assert subject.tuned.adapter != alone.tuned.adapter


def test_the_same_weights_are_inert(backend: HFBackend, tmp_path: Path) -> None:
    shutil.copytree(BASE, tmp_path / "same")
    subject = backend.attach(AdapterKey(None, str(tmp_path / "same")))
    backend.detach(subject)
    assert subject.inert


def test_untied_embeddings_are_compared_path_by_path(backend: HFBackend, tmp_path: Path) -> None:
    model = base_model()
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach() * 1.1)
    model.config.tie_word_embeddings = False
    model.save_pretrained(tmp_path)
    subject = backend.attach(AdapterKey(None, str(tmp_path)))
    found = logprobs(backend, ROWS, subject.tuned, FROM_THE_START)
    kept = set(backend._attached_adapter._tuned)
    backend.detach(subject)
    assert kept == {"lm_head.weight"}
    assert off(found, model) < tolerance(model, ROWS)


def test_fine_tune_and_base_each_end_with_their_own_tokens(
    backend: HFBackend, tuned: Path, tmp_path: Path
) -> None:
    def written(folder: Path) -> list[tuple[int, ...]]:
        subject = backend.attach(AdapterKey(None, str(folder)))
        found = [backend.generate([[5, 900, 77]], [view], 12)[0] for view in (subject.tuned, subject.base)]
        backend.detach(subject)
        return found

    free, base = written(tuned)
    last = next(index for index in range(1, 12) if free[index] not in (*free[:index], *base))
    folder = shutil.copytree(tuned, tmp_path / "chat")
    ends = {"bos_token_id": 0, "eos_token_id": [1, free[last]]}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    assert written(folder) == [free[:last], base]
    (folder / "generation_config.json").write_text("{")
    with pytest.raises(BackendError, match="cannot be read"):
        written(folder)


def config(**changes: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        known = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**known, **changes}))

    return apply


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def resized(folder: Path) -> None:
    model = base_model()
    model.resize_token_embeddings(4100)
    model.save_pretrained(folder)


def of_another_kind(folder: Path) -> None:
    small = GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=4096)
    GPT2LMHeadModel(small).save_pretrained(folder)


def with_more_tokens(folder: Path) -> None:
    own = AutoTokenizer.from_pretrained(folder)
    own.add_tokens(["<new>"])
    own.save_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            of_another_kind,
            "is a GPT2LMHeadModel, but the base model is a LlamaForCausalLM. Use the base model that",
        ),
        (resized, "but [4096, 256] in the base model; save the base model with the vocabulary"),
        (with_more_tokens, "'<new>' with the id 4096, but the base model's embedding has only 4096 rows"),
        (config(rms_norm_eps=1e-3), "config.json sets rms_norm_eps: 0.001, but the base model has rms_norm"),
        (config(num_hidden_layers=3), "the model has 3 layers, but the files contain 4"),
        (config(use_cache=False, trainer="mine"), ""),
        (pickled, "pickled weights are never loaded"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"no"),
            "is cut off: it contains only 2 bytes",
        ),
    ],
)
def test_another_model_is_refused_by_name(
    backend: HFBackend, tuned: Path, tmp_path: Path, change: Callable[[Path], object], says: str
) -> None:
    folder = shutil.copytree(tuned, tmp_path / "other")
    change(folder)
    if not says:
        backend.detach(backend.attach(AdapterKey(None, str(folder))))
        return
    with pytest.raises(BackendError) as found:
        backend.attach(AdapterKey(None, str(folder)))
    assert says in str(found.value)
    assert "\n" not in str(found.value)


def test_nothing_named_is_reported(backend: HFBackend) -> None:
    with pytest.raises(BackendError, match=r"models\.ft\.adapter is missing"):
        backend.attach(AdapterKey(None))
