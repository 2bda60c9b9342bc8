"""GGUF files: what is written is what transformers reads in it, and a user's own file is served."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_sway.backends.base import ModelKey
from pytest_sway.backends.gguf.backend import GGUFBackend
from pytest_sway.backends.gguf.load_backend import load_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Turn
from tests.backends.gguf.test_answers import ANSWER, HEALTHY, STEM
from tests.support.both_backends import JS, NATS, while_attached
from tests.support.gguf_files import quickstart_file
from tests.support.peft_adapters import base_model

pytestmark = pytest.mark.slow


def read_by_transformers(path: Path) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    assert isinstance(model, torch.nn.Module)
    return model.eval()


def test_what_is_written_is_what_transformers_reads(backend: GGUFBackend) -> None:
    """Its own reader puts the rows of queries and keys back in their order."""
    found = read_by_transformers(backend._base.path).state_dict()
    expected = base_model().state_dict()
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor), key


def test_a_file_is_served_as_its_folder_is(backend: GGUFBackend, tmp_path: Path) -> None:
    served = load_backend(ModelKey("gguf", str(quickstart_file(tmp_path / "base.gguf"))))
    try:
        assert served.context == backend.context == 1024  # of 1025 in the file
        assert {"chat_template", "tokens"} <= served.capabilities
        found = []
        for one in (served, backend):
            with while_attached(one, HEALTHY) as subject:
                turns = (Turn("user", STEM),)
                asked = [
                    Completion(STEM, ANSWER, subject.tuned),
                    Completion(turns, ANSWER, subject.tuned),
                    Divergence(STEM, subject.base, subject.tuned),
                ]
                answers = Engine(one).answer(asked)
                assert subject.notes == ()
                found.append([answers[asked[0]].logprob, answers[asked[1]].logprob, answers[asked[2]]])
        assert found[0][:2] == pytest.approx(found[1][:2], abs=NATS)
        assert found[0][2] == pytest.approx(found[1][2], abs=JS)
    finally:
        served.close()


def test_quantized_weights_are_those_that_are_judged(tmp_path: Path) -> None:
    path = quickstart_file(tmp_path / "base.gguf", quantized=True)
    served = load_backend(ModelKey("gguf", str(path)))
    try:
        with while_attached(served, HEALTHY) as subject:
            (note,) = subject.notes
            assert note.startswith("the base model's weights are quantized (25 Q8_0 tensors)")
            request = Divergence(STEM, subject.base, subject.tuned)
            assert 0.3 < Engine(served).answer([request])[request] < 0.7  # 0.60 in fp32
    finally:
        served.close()


def test_its_files_go_with_it(tmp_path: Path) -> None:
    served = load_backend(ModelKey("gguf", str(quickstart_file(tmp_path / "base.gguf"))))
    folder = Path(served._folder.name)
    with while_attached(served, HEALTHY):
        assert list(folder.glob("*.gguf"))
    assert not list(folder.glob("*.gguf"))
    served.close()
    assert not folder.exists()
    assert AutoConfig.from_pretrained(tmp_path, gguf_file="base.gguf").model_type == "llama"
