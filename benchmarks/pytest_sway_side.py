"""One process of our side: loads the model, scores one scenario through the engine, prints what it took.

``seconds`` is the wall time of scoring alone, by an engine whose caches are empty; ``forward_s`` is the
part that the engine counts as forwards. Loading (``load_s``: base, adapter, all checks) and importing
(``import_s``) are apart. The scores themselves are in ``logprobs`` and ``divergences``.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from time import perf_counter
from typing import Any

import inputs
import job as jobs


def measure(job: jobs.Job) -> dict[str, Any]:
    """Load, warm up, score."""
    began = perf_counter()
    jobs.limit_threads(job.threads)
    from pytest_sway.backends.base import AdapterKey, ModelKey
    from pytest_sway.backends.hf.backend import HFBackend  # noqa: F401 - what load would import
    from pytest_sway.backends.hf.load_backend import load_backend

    imported = perf_counter()
    peak_imported = jobs.peak_rss()
    backend = load_backend(ModelKey("hf", job.model, dtype="fp32", device="cpu"))
    result: dict[str, Any] = {"import_s": imported - began, "base_load_s": perf_counter() - imported}
    if job.scenario == "load":
        return result
    subject = backend.attach(AdapterKey(job.adapter))
    result |= {
        "load_s": perf_counter() - imported,
        "peak_imported": peak_imported,
        "peak_loaded": jobs.peak_rss(),
    }
    side = Side(backend, subject, job.vocabulary)
    side.warm_up()
    scored = {"a": side.short_prompts, "b": side.mixed, "c": side.measure_nulls}[job.scenario]()
    return {**result, **scored, "peak_end": jobs.peak_rss()}


class Side:
    """A loaded backend and its subject."""

    def __init__(self, backend: Any, subject: Any, vocabulary: int) -> None:
        self._backend = backend
        self._base, self._tuned = subject.base, subject.tuned
        self._subject = subject
        self._vocabulary = vocabulary

    def warm_up(self) -> None:
        """Score something else, by another engine."""
        from pytest_sway.requests import Completion, Divergence

        prompt, passage = inputs.warm_up(self._vocabulary)
        views = (self._base, self._tuned)
        self._scored([Divergence(prompt.text, *views), *(Completion("", passage.text, v) for v in views)])

    def short_prompts(self) -> dict[str, Any]:
        """Scenario a: one divergence per prompt, in one call."""
        return self._divergences(inputs.short_prompts(self._vocabulary))

    def mixed(self) -> dict[str, Any]:
        """Scenario b: everything in one call; log-probabilities in the order that dlm-sway's have."""
        from pytest_sway.requests import Completion, Divergence, Request

        items = inputs.mixed(self._vocabulary)
        divergences: list[Request[Any]] = []
        completions: dict[str, list[Request[Any]]] = {"base": [], "tuned": []}
        asked: list[Request[Any]] = []
        for item in items:
            if isinstance(item, inputs.Prompt):
                divergences.append(Divergence(item.text, self._base, self._tuned))
                asked.append(divergences[-1])
                continue
            parts = (
                [("", item.text)]
                if isinstance(item, inputs.Passage)
                else [(item.prompt, completion) for completion in item.completions]
            )
            for name, view in (("base", self._base), ("tuned", self._tuned)):
                made = [Completion(prompt, completion, view) for prompt, completion in parts]
                completions[name] += made
                asked += made
        result, answers = self._scored(asked)
        return {
            **result,
            "divergences": [answers[request] for request in divergences],
            "logprobs": [answers[r].logprob for name in ("base", "tuned") for r in completions[name]],
            "logprob_tokens": [answers[r].tokens for name in ("base", "tuned") for r in completions[name]],
        }

    def measure_nulls(self) -> dict[str, Any]:
        """Scenario c: the prompts' divergences for populations of nulls, and the making of single ones."""
        from pytest_sway.requests import Divergence

        counted = {}
        for count in inputs.NULL_COUNTS:
            views = self._null_views(count, inputs.NULL_SEED_BASES[count])
            prompts = inputs.null_prompts(self._vocabulary, count)
            result, _ = self._scored([Divergence(p.text, self._base, v) for v in views for p in prompts])
            counted[str(count)] = result
        making = self._making()
        return {"nulls": counted, "make_s": fmean(making), "making_s": making}

    def _making(self) -> list[float]:
        """Seconds to make each of some nulls: its view's first use less later uses on texts as long."""
        from pytest_sway.requests import Completion

        costs = []
        views = self._null_views(inputs.MADE_NULLS, 9000)
        for view, uses in zip(views, inputs.null_uses(self._vocabulary), strict=True):
            first, *later = [self._scored([Completion("", use.text, view)])[0]["seconds"] for use in uses]
            costs.append(first - fmean(later))
        return costs

    def _null_views(self, count: int, seed_base: int) -> Sequence[Any]:
        from pytest_sway.backends.null_population import NullPlan, null_population

        return null_population(self._subject, NullPlan("norm_matched", count, seed_base, 0.02)).views

    def _divergences(self, prompts: Sequence[inputs.Prompt]) -> dict[str, Any]:
        from pytest_sway.requests import Divergence

        asked = [Divergence(prompt.text, self._base, self._tuned) for prompt in prompts]
        result, answers = self._scored(asked)
        return {**result, "divergences": [answers[request] for request in asked]}

    def _scored(self, asked: Sequence[Any]) -> tuple[dict[str, Any], Any]:
        """Time one call of a new engine; an answer that is an error ends the benchmark."""
        from pytest_sway.engine.engine import Engine

        engine = Engine(self._backend)
        with jobs.Clock() as clock:
            answers = engine.answer(asked)
        for answer in answers.values():
            if isinstance(answer, Exception):
                raise answer
        stats = engine.stats()
        return {**clock.read, "forward_s": stats["scoring_wall_s"], "stats": stats}, answers


if __name__ == "__main__":
    jobs.answer(measure)
