"""How far every form of adapter is from a plain forward, on every engine in process.

    pip install ".[hf,dev]"
    python benchmarks/adapter_forms.py

Prints the table of docs/adapters.md: the largest difference of a log-probability, in nats, over three rows of
tokens, from transformers and PEFT on a model with the same (dequantized) numbers, or for adapters of mlx-lm
from its own loader. Last, what mlx keeps in memory for an adapter and 20 nulls.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten

sys.path.insert(0, str(Path(__file__).parents[1]))

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey, WeightsBackend
from pytest_sway.backends.hf.load_backend import load_backend as load_hf
from pytest_sway.backends.mlx.load_backend import load_backend as load_mlx
from pytest_sway.requests import NullSeed, View
from tests.backends.test_adapter_table import expected_logprobs, off, scored
from tests.support.adapter_table import ENGINES, FORMS
from tests.support.mlx_models import quantized_base
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import BASE

NULLS = 20


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        quantized = quantized_base(folder / "4bit")
        cells = {engine: _column(engine, folder / engine.replace(" ", "-"), quantized) for engine in ENGINES}
    lines = ["| form | " + " | ".join(ENGINES) + " |", "| --- " * (len(ENGINES) + 1) + "|"]
    lines += [f"| {form} | " + " | ".join(cells[engine][form] for engine in ENGINES) + " |" for form in FORMS]
    sys.stdout.write("\n".join([*lines, "", _memory(), ""]))


def _column(engine: str, folder: Path, quantized: Path) -> dict[str, str]:
    backend = _backend(engine, quantized)
    found = {
        form: _cell(backend, engine, form, folder / str(number), quantized)
        for number, form in enumerate(FORMS)
    }
    backend.close()
    return found


def _backend(engine: str, quantized: Path) -> WeightsBackend:
    kind, _, bits = engine.partition(" ")
    if kind == "mlx":
        folder = BASE if bits == "fp32" else quantized
        return load_mlx(ModelKey("mlx", str(folder), dtype="fp32", device="cpu"))
    wanted = None if bits == "fp32" else bits
    return load_hf(ModelKey("hf", str(BASE), dtype="fp32", device="cpu", quantization=wanted))


def _cell(backend: WeightsBackend, engine: str, form: str, folder: Path, quantized: Path) -> str:
    make, _ = FORMS[form]
    adapter = make(folder / "adapter")
    try:
        subject = backend.attach(AdapterKey(str(adapter)))
    except BackendError:
        return "refused"
    apart = off(scored(backend, subject.tuned), expected_logprobs(engine, quantized, adapter, form))
    backend.detach(subject)
    return f"{apart:.0e}"


def _memory() -> str:
    """What stands in memory beside the weights, with the quickstart's healthy adapter and its nulls."""
    backend = load_mlx(ModelKey("mlx", str(BASE), dtype="fp32", device="cpu"))
    weights = sum(one.nbytes for _, one in tree_flatten(backend._model.parameters()))
    before = mx.get_active_memory()
    subject = backend.attach(AdapterKey(str(QUICKSTART / "adapters" / "healthy")))
    mx.clear_cache()
    own = mx.get_active_memory() - before
    mx.reset_peak_memory()
    for draw in range(NULLS):
        null = NullSeed("norm_matched", draw, 1000, 0.02)
        scored(backend, View(subject.tuned.base, subject.tuned.adapter, null))
    mx.clear_cache()
    kept, peak = mx.get_active_memory() - before, mx.get_peak_memory() - before
    most = backend._adapter._null_weights.most
    return (
        f"mlx fp32: weights {weights / 1e6:.1f} MB, the adapter {own / 1e6:.1f} MB, with {NULLS} nulls "
        f"{kept / 1e6:.1f} MB ({most} kept), at most {peak / 1e6:.1f} MB in a batch"
    )


if __name__ == "__main__":
    main()
