"""One process of ``writing.py``: loads the model, writes for all views in one call, prints the time.

It runs with the source of this checkout, or with that of commit 4d5d3f1, whose modules have other names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import inputs
import job as jobs

NULLS = 20
NEW_TOKENS = 32


def measure(job: jobs.Job) -> dict[str, Any]:
    """Every prompt continued by the base, the adapter and its null adapters."""
    jobs.limit_threads(job.threads)
    try:
        backend, subject, nulls = _loaded(job)
    except ModuleNotFoundError:
        backend, subject, nulls = _loaded_by_4d5d3f1(job)
    views = [subject.base, subject.tuned, *nulls]
    prompts = [prompt.text for prompt in inputs.written_prompts(job.vocabulary)]
    _written(backend, ["w7 w8 w9"], views[:2], 2)
    return _written(backend, prompts, views, NEW_TOKENS)


def _loaded(job: jobs.Job) -> tuple[Any, Any, Sequence[Any]]:
    from pytest_sway.backends.base import AdapterKey, ModelKey
    from pytest_sway.backends.hf.load_backend import load_backend
    from pytest_sway.backends.null_population import NullPlan, null_population

    backend = load_backend(ModelKey("hf", job.model, dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(job.adapter))
    return backend, subject, null_population(subject, NullPlan("norm_matched", NULLS, 0, 0.02)).views


def _loaded_by_4d5d3f1(job: jobs.Job) -> tuple[Any, Any, Sequence[Any]]:
    from pytest_sway.backends.hf.load import load  # type: ignore[import-not-found]
    from pytest_sway.backends.protocols import AdapterKey, ModelKey  # type: ignore[import-not-found]
    from pytest_sway.nulls.families import draw  # type: ignore[import-not-found]
    from pytest_sway.nulls.population import NullPlan, population  # type: ignore[import-not-found]

    backend = load(ModelKey("hf", job.model, dtype="fp32", device="cpu"))
    subject = backend.attach(AdapterKey(job.adapter))
    backend.serve_nulls(draw)
    return backend, subject, population(subject, NullPlan("norm_matched", NULLS, 0, 0.02)).views


def _written(backend: Any, prompts: list[str], views: Sequence[Any], most: int) -> dict[str, Any]:
    """Time one call of a new engine; an answer that is an error ends the benchmark."""
    from pytest_sway.engine.engine import Engine
    from pytest_sway.requests import Generate

    engine = Engine(backend)
    asked = [Generate(prompt, view, most) for view in views for prompt in prompts]
    with jobs.Clock() as clock:
        answers = engine.answer(asked)
    for answer in answers.values():
        if isinstance(answer, Exception):
            raise answer
    return {**clock.read, "written": [list(answers[request].ids) for request in asked]}


if __name__ == "__main__":
    jobs.answer(measure)
