"""Kinds by name, imported when a spec names them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from pytest_sway.probes.base import Probe

_BUILTIN = {
    "adapter_ablation": "pytest_sway.probes.adapter_ablation:AdapterAblation",
    "adapter_revert": "pytest_sway.probes.adapter_revert:AdapterRevert",
    "cluster_kl": "pytest_sway.probes.cluster_kl:ClusterKL",
    "delta_kl": "pytest_sway.probes.delta_kl:DeltaKL",
    "multi_turn_coherence_decay": ("pytest_sway.probes.multi_turn_coherence_decay:MultiTurnCoherenceDecay"),
    "null_adapter": "pytest_sway.probes.null_adapter:NullAdapter",
    "style_fingerprint": "pytest_sway.probes.style_fingerprint:StyleFingerprint",
}

CONTRACT_ONLY = frozenset(
    {
        "calibration_drift",
        "external_perplexity",
        "gradient_ghost",
        "leakage",
        "paraphrase_invariance",
        "preference_flip",
        "prompt_collapse",
        "section_internalization",
        "tool_use_fidelity",
        "training_drift",
    }
)
"""Kinds that dlm-sway's specs use and this version does not measure; refused by name."""


def kinds() -> Iterable[str]:
    """Every kind that :func:`find` knows, sorted."""
    return sorted(_BUILTIN)


def find(kind: str) -> type[Probe[Any]] | None:
    """The probe class of a kind, or None."""
    target = _BUILTIN.get(kind)
    if target is None:
        return None
    module, _, name = target.partition(":")
    probe: type[Probe[Any]] = getattr(import_module(module), name)
    return probe
