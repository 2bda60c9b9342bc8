"""Kinds by name: the built-in ones, imported when a spec names them, and those of plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from pytest_sway.probes.base import OptionsError, Probe
from pytest_sway.text.message_parts import describe, did_you_mean

_CLASSES = {
    "adapter_ablation": "AdapterAblation",
    "adapter_revert": "AdapterRevert",
    "calibration_drift": "CalibrationDrift",
    "cluster_kl": "ClusterKL",
    "delta_kl": "DeltaKL",
    "external_perplexity": "ExternalPerplexity",
    "gradient_ghost": "GradientGhost",
    "leakage": "Leakage",
    "multi_turn_coherence_decay": "MultiTurnCoherenceDecay",
    "null_adapter": "NullAdapter",
    "paraphrase_invariance": "ParaphraseInvariance",
    "preference_flip": "PreferenceFlip",
    "prompt_collapse": "PromptCollapse",
    "samples": "Samples",
    "section_internalization": "SectionInternalization",
    "style_fingerprint": "StyleFingerprint",
    "tool_use_fidelity": "ToolUseFidelity",
    "training_drift": "TrainingDrift",
}
"""The class of each kind; its file has the kind's name."""


def kinds() -> Iterable[str]:
    """Every kind that :func:`find` knows, sorted."""
    return sorted(_CLASSES)


def find(kind: str) -> type[Probe[Any]] | None:
    """The probe class of a kind, or None."""
    name = _CLASSES.get(kind)
    if name is None:
        return None
    probe: type[Probe[Any]] = getattr(import_module(f"pytest_sway.probes.{kind}"), name)
    return probe


def probe(kind: str, **options: Any) -> Probe[Any]:
    """A probe of a built-in kind, for the fixture ``sway``.

    Args:
        kind: as in a spec, e.g. ``delta_kl``.
        options: of the entry in a spec, ``name`` among them.

    Raises:
        OptionsError: there is no such kind, or an option is unknown, missing or wrong.
    """
    found = find(kind)
    if found is None:
        raise OptionsError(f"probe: unknown kind {describe(kind)}{did_you_mean(kind, kinds())}")
    return found(**options)


class Kinds:
    """The kinds that a spec may name: the built-in ones, and ``third_party`` by name."""

    def __init__(self, third_party: Mapping[str, type[Probe[Any]]] | None = None) -> None:
        self._third_party = dict(third_party or {})

    def __iter__(self) -> Iterator[str]:
        return iter(sorted([*_CLASSES, *self._third_party]))

    def __contains__(self, kind: str) -> bool:
        return kind in _CLASSES or kind in self._third_party

    def find(self, kind: str) -> type[Probe[Any]] | None:
        """The probe class of a kind, or None."""
        return self._third_party.get(kind) or find(kind)
