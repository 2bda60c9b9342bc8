"""Every form of adapter on every engine in process: the numbers of a plain forward, or a refusal by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft import PeftModel

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey, Subject, WeightsBackend
from pytest_sway.backends.hf.load_backend import load_backend as load_hf
from pytest_sway.backends.mlx.convert import convert_adapter
from pytest_sway.backends.mlx.load_backend import load_backend as load_mlx
from pytest_sway.requests import NullSeed, View
from pytest_sway.token_sequences import PackedRow, TokenSequence
from tests.support.adapter_table import ENGINES, FORMS
from tests.support.hf_models import ROWS, reference_logprobs
from tests.support.mlx_models import quantized_base, reference_logits, with_dequantized_weights
from tests.support.paths import ROOT
from tests.support.peft_adapters import BASE, base_model
from tests.support.quantized_models import with_bnb_weights

ADAPTED, BASE_ALONE = 5e-4, 2e-4
"""Nats: of an adapter, whose weights are merged in some forms; of the base."""


@pytest.fixture(autouse=True)
def _converted_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantized_base(tmp_path_factory.mktemp("mlx") / "4bit")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, quantized: Path) -> Iterator[tuple[str, WeightsBackend]]:
    kind, _, bits = request.param.partition(" ")
    loaded: WeightsBackend
    if kind == "hf":
        wanted = None if bits == "fp32" else bits
        loaded = load_hf(ModelKey("hf", str(BASE), dtype="fp32", device="cpu", quantization=wanted))
    else:
        folder = BASE if bits == "fp32" else quantized
        loaded = load_mlx(ModelKey("mlx", str(folder), dtype="fp32", device="cpu"))
    yield request.param, loaded
    loaded.close()


def reference_model(engine: str, quantized: Path) -> Any:
    """transformers with the numbers that the engine's base has."""
    model = base_model()
    if engine == "mlx 4 bit":
        return with_dequantized_weights(model, quantized)
    return with_bnb_weights(model, engine.removeprefix("hf ")) if engine in ("hf nf4", "hf int8") else model


def expected_logprobs(engine: str, quantized: Path, adapter: Path, form: str) -> list[np.ndarray]:
    """What a forward by the libraries alone says of the rows."""
    if form.startswith("mlx-lm") and engine.startswith("mlx"):
        base = quantized if engine == "mlx 4 bit" else BASE
        return [np.array(one) for one in reference_logits(adapter, ROWS, base)]
    if form.startswith("mlx-lm"):
        convert_adapter(adapter, adapter.parent / "peft", "peft")
        adapter = adapter.parent / "peft"
    model = PeftModel.from_pretrained(reference_model(engine, quantized), adapter).eval()
    return [reference_logprobs(model, row).numpy() for row in ROWS]


def scored(backend: WeightsBackend, view: View) -> list[np.ndarray]:
    texts = [TokenSequence(tuple(row), 0) for row in ROWS]
    found: dict[TokenSequence, list[np.ndarray]] = {text: [] for text in texts}
    for text, _, piece in backend.logprobs([PackedRow((text,)) for text in texts], view, 1000):
        found[text].append(np.asarray(piece.tolist()))
    return [np.concatenate(found[text]) for text in texts]


def off(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_form_scores_like_a_plain_forward_or_is_refused(
    engine: tuple[str, WeightsBackend], quantized: Path, tmp_path: Path, form: str
) -> None:
    name, backend = engine
    make, refused = FORMS[form]
    key = AdapterKey(str(make(tmp_path / "adapter")))
    if name in refused:
        with pytest.raises(BackendError, match=re.escape(refused[name])):
            backend.attach(key)
        return
    subject = backend.attach(key)
    try:
        expected = expected_logprobs(name, quantized, tmp_path / "adapter", form)
        untouched = [reference_logprobs(reference_model(name, quantized), row).numpy() for row in ROWS]
        assert off(expected, untouched) > 0.01  # the adapter does something
        assert off(scored(backend, subject.tuned), expected) < ADAPTED
        assert off(scored(backend, subject.base), untouched) < BASE_ALONE
        assert off(scored(backend, subject.tuned.scaled(0.0)), untouched) < BASE_ALONE
        assert_nulls(backend, subject, untouched)
    finally:
        backend.detach(subject)


def assert_nulls(backend: WeightsBackend, subject: Subject, base: list[np.ndarray]) -> None:
    """Two draws of a null differ from the base and from each other, and each is the same again."""
    nulls = [
        View(subject.tuned.base, subject.tuned.adapter, NullSeed("norm_matched", draw, 1000, 0.02))
        for draw in (0, 1)
    ]
    first, second = (scored(backend, null) for null in nulls)
    assert min(off(first, base), off(second, base), off(first, second)) > 1e-4
    assert off(scored(backend, nulls[0]), first) == 0.0


def test_the_table_in_the_documentation_says_what_is_tested() -> None:
    text = (ROOT / "docs" / "adapters.md").read_text("utf-8")
    table = text[text.index("| form |") :].partition("\n\n")[0]
    lines = table.splitlines()
    header = [cell.strip() for cell in lines[0].strip("|").split("|")]
    rows = {cells[0].strip(): cells[1:] for line in lines[2:] if (cells := line.strip("|").split("|"))}
    assert tuple(header[1:]) == ENGINES
    assert rows.keys() == FORMS.keys()
    for form, (_, refused) in FORMS.items():
        served = {engine for engine, cell in zip(ENGINES, rows[form], strict=True) if "refused" not in cell}
        assert served == set(ENGINES) - refused.keys()
