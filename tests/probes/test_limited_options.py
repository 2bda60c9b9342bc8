"""What ``--sway-limit`` leaves of a probe's options."""

from __future__ import annotations

from typing import Any, Self

import pytest

from pytest_sway.probes.base import Probe, ProbeContext, ProbeOptions
from pytest_sway.probes.registry import find, kinds
from pytest_sway.result import Claim

PROMPTS = {"prompts": ["a", "b", "c"]}
CASES = {"cases": [{"prompt": p, "gold": "g", "paraphrases": [f"{p}?"]} for p in "abc"]}
ITEMS: dict[str, dict[str, Any]] = {
    "adapter_ablation": PROMPTS,
    "adapter_revert": CASES,
    "calibration_drift": {"items": [("a", "b"), ("c", "d"), ("e", "f")]},
    "cluster_kl": PROMPTS,
    "delta_kl": PROMPTS,
    "multi_turn_coherence_decay": PROMPTS,
    "paraphrase_invariance": CASES,
    "preference_flip": {"triples": [{"prompt": p, "chosen": "x", "rejected": "y"} for p in "abc"]},
    "prompt_collapse": PROMPTS,
    "style_fingerprint": PROMPTS,
    "tool_use_fidelity": {"cases": "builtin"},
}
COUNTS = {
    "samples": "count",
    "calibration_drift": "items_limit",
    "external_perplexity": "max_chunks",
    "leakage": "max_sections",
}


@pytest.mark.parametrize("kind", kinds())
def test_a_limit_shortens_lists_and_lowers_counts(kind: str) -> None:
    probe = find(kind)
    assert probe is not None
    options = probe(**ITEMS.get(kind, {})).options
    changed = {name: value[:2] for name in ITEMS.get(kind, {}) if (value := getattr(options, name))}
    changed |= {COUNTS[kind]: 2} if kind in COUNTS else {}
    assert options.limited(2).model_dump() == options.model_copy(update=changed).model_dump()


@pytest.mark.parametrize("kind", COUNTS)
def test_a_limit_raises_no_count(kind: str) -> None:
    probe = find(kind)
    assert probe is not None
    options = probe(**{COUNTS[kind]: 1}).options
    assert options.limited(5) == options


class Words(ProbeOptions):
    words: str = "one two three"

    def limited(self, limit: int) -> Self:
        return self.model_copy(update={"words": " ".join(self.words.split()[:limit])})


class WordProbe(Probe[Words]):
    kind, category, claim = "words", "adherence", Claim.EFFECT

    async def measure(self, views: Any) -> Any: ...
    def judge(self, measured: Any, nulls: Any) -> Any: ...


def test_third_party_options_say_what_their_items_are() -> None:
    assert WordProbe().with_context(ProbeContext(limit=2)).options.words == "one two"
    assert WordProbe().with_context(ProbeContext()).options.words == "one two three"
