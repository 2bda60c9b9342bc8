"""One process of ``model_variants.py``: the mixed suite twice, in the variant that the job names."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import job as jobs

VARIANTS = ("fp32", "bf16", "fp16", "compiled")


def measure(job: jobs.Job) -> dict[str, Any]:
    """Load, compile if asked, score everything twice."""
    jobs.limit_threads(job.threads)
    from pytest_sway_side import Side

    from pytest_sway.backends.base import AdapterKey, ModelKey
    from pytest_sway.backends.hf.load_backend import load_backend

    dtype = "fp32" if job.scenario == "compiled" else job.scenario
    began = perf_counter()
    backend = load_backend(ModelKey("hf", job.model, dtype=dtype, device="cpu"))
    subject = backend.attach(AdapterKey(job.adapter))
    load_s = perf_counter() - began
    if job.scenario == "compiled":
        compile_layers(backend._model)
    side = Side(backend, subject, job.vocabulary)
    if job.scenario != "compiled":
        side.warm_up()
    first, later = side.mixed(), side.mixed()
    pairs = zip(later["logprobs"], later["logprob_tokens"], strict=True)
    return {
        "load_s": load_s,
        "first_s": first["seconds"],
        "later_s": later["seconds"],
        "divergences": later["divergences"],
        "logprobs_per_token": [value / count for value, count in pairs],
        "peak": jobs.peak_rss(),
    }


def compile_layers(model: Any) -> None:
    """Have torch compile the decoder layers, once for all lengths and all layers of equal code."""
    for layer in model.base_model.layers:
        layer.compile(dynamic=True)


if __name__ == "__main__":
    jobs.answer(measure)
