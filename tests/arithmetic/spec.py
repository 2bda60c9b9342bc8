"""The specs that the product is run with: every kind, on few items."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.known_adapters.battery import FIRST, cases, read, triples
from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART, ROOT

PACKAGED = ROOT / "src/pytest_sway/data"
BASE_MODEL = QUICKSTART / "base"
HEALTHY = QUICKSTART / "adapters/healthy"
MILD = KNOWN_ADAPTERS / "adapters/mild"

STEMS = read(FIRST.stems)
PROMPTS = STEMS["document"][:4]
CLUSTERED = [*STEMS["document"][:5], *STEMS["elsewhere"][:5]]
CASES = cases(FIRST, of_each=1)
TRIPLES = triples(FIRST, of_each=1)
TOOL_CASES: list[dict[str, Any]] = read(KNOWN_ADAPTERS / "tools.yaml")[1::3]
FOLLOW_UPS = ["Tell me more about the lantern works.", "And what is the rule there?"]
LAMBDAS = [0.0, 0.25, 0.5, 1.0, 1.25]
DOCUMENT = read(QUICKSTART / "sections.yaml")
CONTROLS = [*read(QUICKSTART / "controls.yaml")[:3], {"id": "trained", "content": DOCUMENT[3]["content"]}]
"""The last one is of the document, so that the controls gain something that is taken off."""
SECTIONS: list[dict[str, Any]] = [
    {"id": "asked", "content": DOCUMENT[0]["content"], "probes": DOCUMENT[0]["probes"][:3]},
    {"id": "prose", "content": DOCUMENT[1]["content"]},
    {"id": "answers", "kind": "instruction", "content": "", "probes": DOCUMENT[2]["probes"][:4]},
    {"id": "preferred", "kind": "preference", "content": "", "preferences": TRIPLES[:4]},
]


def _only_99(case: dict[str, Any]) -> dict[str, Any]:
    """The case with a schema that nobody's call fits."""
    case = copy.deepcopy(case)
    case["tool_spec"]["parameters"]["properties"]["b"] = {"type": "integer", "enum": [99]}
    case["gold_arguments"]["b"] = 99
    return case


TOOL_CASES[0] = _only_99(TOOL_CASES[0])


def null_adapter_options(null_adapters: Sequence[Path], *kinds: str) -> dict[str, Any]:
    """A null population that is given, so that its numbers can be recomputed as well."""
    return {
        "family": "yours",
        "adapters": [str(folder) for folder in null_adapters],
        "runs": len(null_adapters),
        "exact_runs": True,
        "calibrate_kinds": list(kinds),
    }


def tool_suite(null_adapters: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """For an adapter on the base that calls tools: what scores between nothing and everything."""
    return {
        "null_adapter": null_adapter_options(null_adapters, "preference_flip"),
        "tool_use_fidelity": {"cases": TOOL_CASES},
        "preference_flip": {"triples": TRIPLES, "min_margin_gain": 0.5, "assert_z_gte": 2},
        "calibration_drift": {"items_limit": 24, "assert_mean_delta_gte": -0.001, "weight": 2},
        "external_perplexity": {"max_chunks": 8, "chunk_chars": 300, "assert_mean_delta_gte": 0.2},
    }


def suite(null_adapters: Sequence[Path], trainings: Path) -> dict[str, dict[str, Any]]:
    """Options by name; an entry's kind is its name up to the dot.

    Args:
        null_adapters: folders of the null population.
        trainings: folder with what trainings left behind.
    """
    return {
        "null_adapter": null_adapter_options(null_adapters, "delta_kl", "cluster_kl", "preference_flip"),
        "delta_kl": {"prompts": PROMPTS, "assert_z_gte": 2},
        "delta_kl.kl": {"prompts": PROMPTS, "divergence": "kl", "assert_z_gte": 9, "weight": 2},
        "adapter_revert": {"cases": CASES[:4], "max_new_tokens": 16},
        "prompt_collapse": {"prompts": PROMPTS, "context_lengths": [0, 32, 64, 128]},
        "cluster_kl": {"prompts": CLUSTERED, "num_clusters": 3, "min_prompts": 10, "positions": 4},
        "multi_turn_coherence_decay": {
            "prompts": [case["prompt"] for case in CASES[:4]],
            "max_turns": 3,
            "max_new_tokens": 16,
            "follow_ups": FOLLOW_UPS,
        },
        "section_internalization": {"baseline": "in_context"},
        "paraphrase_invariance": {"cases": CASES},
        "preference_flip": {"triples": TRIPLES},
        "preference_flip.sum": {"triples": TRIPLES, "margin": "sum"},
        "style_fingerprint": {"prompts": PROMPTS, "max_new_tokens": 40, "extended": "off"},
        "calibration_drift": {"items_limit": 24, "regression_nats": 0.1},
        "external_perplexity": {"max_chunks": 8, "chunk_chars": 300},
        "leakage": {
            "offsets": 3,
            "max_new_tokens": 32,
            "prefix_chars": 96,
            "continuation_chars": 128,
            "perturbed_windows": 0,
        },
        "gradient_ghost": {"adapter_path": str(trainings / "weak_layer")},
        "gradient_ghost.short": {"adapter_path": str(trainings / "short"), "min_steps_threshold": 50},
        "training_drift": {"store_path": str(trainings / "trainer_state.json")},
        "adapter_ablation": {"prompts": PROMPTS, "lambdas": LAMBDAS, "positions": 4},
    }


OWN_ITEMS = [[CASES[0]["prompt"], CASES[0]["gold"]], ["The capital of France is", " Paris."]]
"""A question, and the beginning of a text."""
RAW_SUITE: dict[str, dict[str, Any]] = {
    "preference_flip": {"triples": TRIPLES[:3]},
    "calibration_drift": {"items": OWN_ITEMS},
    "delta_kl": {"prompts": [case["prompt"] for case in CASES[:3]], "positions": 1},
}
"""Questions that are put as they stand."""


def spec(
    base: Path, adapter: Path, entries: dict[str, dict[str, Any]], policy: str = "auto"
) -> dict[str, Any]:
    """A whole spec."""
    model = {"kind": "hf", "base": str(base), "dtype": "fp32"}
    return {
        "version": 1,
        "models": {"base": model, "ft": {**model, "adapter": str(adapter)}},
        "defaults": {"prompt_policy": policy},
        "sections": SECTIONS,
        "controls": CONTROLS,
        "suite": [{"name": name, "kind": name.split(".")[0], **options} for name, options in entries.items()],
    }
