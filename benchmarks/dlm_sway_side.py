"""One process of dlm-sway 0.1.0, in its own interpreter: the same texts through its public scoring views.

It offers one call per text and view. All texts are scored in the base's view and then in the tuned one,
which enters each view once: the cheapest order that its interface allows. Its divergence is no public
function, so scenario a and c time its distributions alone, which is less work than ours. Its cache of
answers never hits: no text is asked twice of a view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import inputs
import job as jobs

CHECKED = 4
"""Prompts of scenario a whose exact divergence is made, after the clock stopped, to compare with ours."""


def measure(job: jobs.Job) -> dict[str, Any]:
    """Load, warm up, score."""
    began = perf_counter()
    jobs.limit_threads(job.threads)
    import peft  # noqa: F401 - what its backend imports when it is built
    import transformers  # noqa: F401
    from dlm_sway.backends import build
    from dlm_sway.core.model import ModelSpec

    imported = perf_counter()
    peak_imported = jobs.peak_rss()
    spec = ModelSpec(kind="hf", base=job.model, adapter=Path(job.adapter), dtype="fp32", device="cpu")
    backend = build(spec, adapter_path=Path(job.adapter))
    loading = {
        "import_s": imported - began,
        "load_s": perf_counter() - imported,
        "peak_imported": peak_imported,
        "peak_loaded": jobs.peak_rss(),
    }
    warm_up(backend, job.vocabulary)
    scored = {"a": short_prompts, "b": mixed, "c": measure_nulls}[job.scenario](backend, job.vocabulary)
    return {"peak_end": jobs.peak_rss(), **loading, **scored}


def warm_up(backend: Any, vocabulary: int) -> None:
    """Score something else in both views."""
    prompt, passage = inputs.warm_up(vocabulary)
    for enter in (backend.as_base, backend.as_finetuned):
        with enter() as view:
            view.next_token_dist(prompt.text)
            view.rolling_logprob(passage.text)


def short_prompts(backend: Any, vocabulary: int) -> dict[str, Any]:
    """Scenario a: a distribution per prompt and view."""
    prompts = inputs.short_prompts(vocabulary)
    with jobs.Clock() as clock:
        for enter in (backend.as_base, backend.as_finetuned):
            with enter() as view:
                _distributions(view, prompts)
    peak = jobs.peak_rss()
    checked = [exact_divergence(backend, prompt.text, vocabulary) for prompt in prompts[:CHECKED]]
    return {**clock.read, "peak_end": peak, "exact_divergences": checked}


def mixed(backend: Any, vocabulary: int) -> dict[str, Any]:
    """Scenario b: all items in one view, then in the other."""
    items = inputs.mixed(vocabulary)
    logprobs: list[float] = []
    with jobs.Clock() as clock:
        for enter in (backend.as_base, backend.as_finetuned):
            with enter() as view:
                for item in items:
                    logprobs += _scores(view, item)
    return {**clock.read, "logprobs": logprobs}


def measure_nulls(backend: Any, vocabulary: int) -> dict[str, Any]:
    """Scenario c: the base once, each null once; and the seconds of entering and leaving a null's view."""
    counted = {}
    for count in inputs.NULL_COUNTS:
        prompts = inputs.null_prompts(vocabulary, count)
        seeds = range(inputs.NULL_SEED_BASES[count], inputs.NULL_SEED_BASES[count] + count)
        with jobs.Clock() as clock:
            with backend.as_base() as view:
                _distributions(view, prompts)
            for seed in seeds:
                with backend.as_null_adapter(seed, init_scale=0.02) as view:
                    _distributions(view, prompts)
        counted[str(count)] = clock.read
    with jobs.Clock() as clock:
        for seed in range(inputs.MADE_NULLS):
            with backend.as_null_adapter(9000 + seed, init_scale=0.02):
                pass
    return {"nulls": counted, "make_s": clock.read["seconds"] / inputs.MADE_NULLS}


def exact_divergence(backend: Any, prompt: str, vocabulary: int) -> float:
    """Jensen-Shannon divergence, in nats, of its distributions over the whole vocabulary."""
    sides = []
    for enter in (backend.as_base, backend.as_finetuned):
        with enter() as view:
            found = view.next_token_dist(prompt, top_k=vocabulary)
        known = zip(found.token_ids.tolist(), found.logprobs.tolist(), strict=True)
        sides.append({token: math.exp(logprob) for token, logprob in known})
    p, q = sides
    halves = (0.5 * _to_middle(p, q), 0.5 * _to_middle(q, p))
    return math.fsum(halves)


def _to_middle(p: dict[int, float], q: dict[int, float]) -> float:
    """KL(p ‖ (p + q)/2)."""
    return math.fsum(x * math.log(2 * x / (x + q[token])) for token, x in p.items() if x > 0)


def _scores(view: Any, item: inputs.Item) -> list[float]:
    """The log-probabilities of an item; none for a prompt, whose distribution is made all the same."""
    if isinstance(item, inputs.Prompt):
        view.next_token_dist(item.text)
        return []
    if isinstance(item, inputs.Passage):
        return [float(view.rolling_logprob(item.text).total_logprob)]
    return [float(view.logprob_of(item.prompt, completion)) for completion in item.completions]


def _distributions(view: Any, prompts: Sequence[inputs.Prompt]) -> None:
    for prompt in prompts:
        view.next_token_dist(prompt.text)


if __name__ == "__main__":
    jobs.answer(measure)
