"""How far the base of an adapter's training is from the one that is evaluated, on the probes' prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_sway.backends.base import Backend, BackendError, Subject, TokenizingBackend
from pytest_sway.engine.drive import drive
from pytest_sway.engine.imagined_answers import ImaginedAnswers
from pytest_sway.probes.base import Probe
from pytest_sway.requests import Divergence, Prompt, Request, RequestError, Views

_MOST_PROMPTS = 32


def compare_bases(backend: Backend, subject: Subject, probes: Sequence[Probe[Any]]) -> Subject:
    """The subject, its warning on the other base completed by a figure.

    Args:
        backend: holds the base that is evaluated.
        subject: an attached adapter that was trained on the base in another quantization.
        probes: of its suite, with their contexts.
    """
    mismatch = subject.trained_base
    if mismatch is None:
        return subject
    prompts = _prompts(backend, subject, probes) if isinstance(backend, TokenizingBackend) else []
    if not prompts:
        figure = (
            "the difference between the two base models was not measured, because no probe of the suite "
            "compares next-token distributions"
        )
    else:
        try:
            apart = backend.compare_bases(subject, prompts)
            figure = (
                f"on {len(prompts)} prompts of the probes, the next-token distributions of the two base "
                f"models differ by {apart.bases:.3g} nats, and those of the adapter and the spec's base "
                f"model differ by {apart.adapter:.3g} nats"
            )
        except (BackendError, RequestError) as error:
            figure = f"the difference between the two base models could not be measured: {error}"
    return replace(subject, warnings=(*subject.warnings, f"{mismatch.text}; {figure}; {mismatch.remedy}"))


def _prompts(backend: TokenizingBackend, subject: Subject, probes: Sequence[Probe[Any]]) -> list[Prompt]:
    """Prompts whose next-token distributions the probes compare, each once; some of many."""
    found: dict[Prompt, None] = {}

    def note(requests: Sequence[Request[Any]]) -> None:
        found.update({one.prompt: None for one in requests if isinstance(one, Divergence)})

    views = Views(subject.base, subject.tuned, subject.tuned)
    answers = ImaginedAnswers(backend, lambda _: {}, note)
    for probe in probes:
        if probe.needs_model and len(found) < _MOST_PROMPTS:
            drive([probe.measure(views)], answers)
    return list(found)[:_MOST_PROMPTS]
