"""An adapter of a 4-bit base on the full one, and the other way: the headline says so, with a figure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.hf.adapter_files.base_remarks import remarks_on_base
from pytest_sway.backends.hf.adapter_files.trained_quantization import trained_quantization
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import BASE

SPEC = """
version: 1
models:
  base: &m {{kind: hf, base: {base}, device: cpu{more}}}
  ft: {{<<: *m, adapter: {adapter}}}
suite:
  - {{name: dk, kind: delta_kl, prompts: [The master of the works is, A lantern, Salt], positions: 1}}
"""


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(QUICKSTART / "adapters" / "healthy", tmp_path / "adapter"))


def report(pytester: pytest.Pytester, adapter: Path, more: str = "") -> tuple[dict[str, Any], str]:
    pytester.makefile(".yaml", sway=SPEC.format(base=BASE, adapter=adapter, more=more))
    result = pytester.runpytest("sway.yaml", "--sway-json=out.json", "-q")
    return json.loads((pytester.path / "out.json").read_text("utf-8")), " ".join(result.stdout.str().split())


def trained_with(adapter: Path, *, use_qlora: bool) -> None:
    (adapter / "training_run.json").write_text(json.dumps({"use_qlora": use_qlora}), "utf-8")


def figures(text: str) -> tuple[float, float]:
    """Of the two bases, and of the adapter."""
    after = text.partition("the next-token distributions of the two base models differ by ")[2]
    bases, _, rest = after.partition(" nats, and those of the adapter and the spec's base model differ by ")
    return float(bases), float(rest.partition(" nats;")[0])


def test_an_adapter_of_a_4_bit_base_on_the_full_one(pytester: pytest.Pytester, adapter: Path) -> None:
    trained_with(adapter, use_qlora=True)
    found, text = report(pytester, adapter)
    assert (
        "the adapter was trained on the base model quantized as nf4 (training_run.json sets use_qlora: true)"
        ", but the spec's base model is unquantized; on 3 prompts of the probes, the next-token "
        "distributions of the two base models differ by"
    ) in text
    bases, own = figures(text)
    assert 0 < bases < 0.6931
    (probe,) = found["probes"]
    assert own == pytest.approx(probe["raw"], rel=0.01)  # three digits of the same mean
    assert "set quantization: nf4 for models.base and models.ft to evaluate the adapter on the" in text


@pytest.mark.slow
def test_as_it_was_trained_there_is_nothing_to_say(pytester: pytest.Pytester, adapter: Path) -> None:
    trained_with(adapter, use_qlora=True)
    _, text = report(pytester, adapter, ", quantization: nf4")
    assert "was trained on" not in text


@pytest.mark.slow
def test_the_other_way_round(pytester: pytest.Pytester, adapter: Path) -> None:
    trained_with(adapter, use_qlora=False)
    _, text = report(pytester, adapter, ", quantization: nf4")
    assert "was trained on the unquantized base model (training_run.json sets use_qlora: false)" in text
    there, _ = figures(text)
    trained_with(adapter, use_qlora=True)
    _, back = report(pytester, adapter)
    assert figures(back)[0] == pytest.approx(there, rel=1e-3)  # the divergence is symmetric


@pytest.mark.slow
def test_without_bitsandbytes_there_is_a_note_without_a_figure(
    pytester: pytest.Pytester, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_sway.backends.hf.base_model import quantization

    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    trained_with(adapter, use_qlora=True)
    found, text = report(pytester, adapter)
    says = (
        "difference between the two base models could not be measured: a base model quantized to nf4 needs "
        "bitsandbytes"
    )
    assert says in text
    assert found["probes"][0]["raw"] > 0


def test_a_plan_loads_no_second_base(
    pytester: pytest.Pytester, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_sway.backends.hf import backend

    def never(*_: object) -> None:
        raise AssertionError("a second base was loaded")

    monkeypatch.setattr(backend, "next_token_logprobs", never)
    trained_with(adapter, use_qlora=True)
    pytester.makefile(".yaml", sway=SPEC.format(base=BASE, adapter=adapter, more=""))
    pytester.runpytest("sway.yaml", "--sway-plan").assert_outcomes(skipped=1)


@pytest.mark.slow
def test_a_second_base_that_does_not_fit(
    pytester: pytest.Pytester, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_sway.backends.hf import base_in_training

    def no_memory(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(base_in_training, "load_pretrained", no_memory)
    trained_with(adapter, use_qlora=True)
    _, text = report(pytester, adapter)
    assert "could not be measured: the two base models do not fit in memory together" in text


def test_the_very_base_that_is_loaded_is_not_another_one(tmp_path: Path) -> None:
    """A repository whose name says bnb-4bit may hold fp4, and files know better than names."""
    folder = tmp_path / "x-bnb-4bit"
    shutil.copytree(BASE, folder)
    base = BaseModel("", name=str(folder), checkpoint=read_checkpoint(folder), quantization="fp4")
    named = remarks_on_base(tmp_path, {"base_model_name_or_path": "org/x-bnb-4bit"}, base)
    assert (named.warnings, named.notes, named.trained_base) == ((), (), None)
    (tmp_path / "training_run.json").write_text('{"use_qlora": true}', "utf-8")
    assert remarks_on_base(tmp_path, {}, base).trained_base is None  # 4 bits are 4 bits
    other = BaseModel("", name="org/x", checkpoint=read_checkpoint(folder))
    found = remarks_on_base(tmp_path, {}, other, kind="mlx").trained_base
    assert found is not None
    assert found.remedy.startswith("set quantization: nf4 for models.base and models.ft and use kind: hf")


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("unsloth/SmolLM2-135M-Instruct-bnb-4bit", "nf4"),
        ("unsloth/llama-3-8b-unsloth-bnb-4bit", "nf4"),
        ("models--unsloth--x-bnb-4bit/snapshots/abc", "nf4"),
        ("org/x-bnb-8bit", "int8"),
        ("HuggingFaceTB/SmolLM2-135M", None),
        ("org/bnbx-4bits", None),
        (None, None),
    ],
)
def test_the_name_of_a_bnb_base_says_it(tmp_path: Path, named: str | None, expected: str | None) -> None:
    found = trained_quantization(tmp_path, {"base_model_name_or_path": named})
    assert (found.name if found else None) == expected


@pytest.mark.parametrize("content", ["{", "[]", '{"use_qlora": "yes"}', "{}"])
def test_a_file_that_says_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "training_run.json").write_text(content, "utf-8")
    assert trained_quantization(tmp_path, {}) is None
