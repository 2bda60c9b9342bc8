"""The whole battery on one document: the suite that the known adapters are evaluated with.

``examples/quickstart/battery.sway.yaml`` holds the same for the quickstart's document (a test compares them);
the benchmark makes it for the second document, and for dlm-sway.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

EFFECTS = ("delta_kl", "section_internalization", "paraphrase_invariance", "preference_flip")
"""Kinds whose pass says that something was learned, of those that ``quick`` measures."""
FOLLOW_UPS = [
    "Tell me more about {0}.",
    "What else is known of {0}?",
    "And what is the rule there?",
]


class Texts(NamedTuple):
    """Where a document and what was made from it stand.

    Attributes:
        folder: ``document.md``, ``questions.yaml``, ``sections.yaml``.
        preferences: triples about it.
        stems: ``document`` and ``elsewhere``.
        subject: what a follow-up question asks about.
    """

    folder: Path
    preferences: Path
    stems: Path
    subject: str


FIRST = Texts(
    QUICKSTART, KNOWN_ADAPTERS / "preferences.yaml", QUICKSTART / "make/probes.yaml", "the lantern works"
)
SECOND = Texts(
    KNOWN_ADAPTERS / "second",
    KNOWN_ADAPTERS / "second/preferences.yaml",
    KNOWN_ADAPTERS / "second/probes.yaml",
    "the post office",
)


def read(path: Path) -> Any:
    """A YAML file of ours."""
    return yaml.safe_load(path.read_text("utf-8"))


def reworded(question: str) -> list[str]:
    """Two light rewordings that nobody trained on: all that a model of four million parameters follows."""
    return [f"Tell me, {question[0].lower()}{question[1:]}", f"{question[:-1]}, please?"]


def cases(texts: Texts, of_each: int = 2) -> list[dict[str, Any]]:
    """The first questions of every section, reworded."""
    return [
        {"prompt": q["question"], "gold": q["answer"], "paraphrases": reworded(q["question"])}
        for questions in read(texts.folder / "questions.yaml").values()
        for q in questions[:of_each]
    ]


def triples(texts: Texts, of_each: int = 2) -> list[dict[str, str]]:
    """The first triples of every section."""
    found: dict[str, list[dict[str, str]]] = {}
    for triple in read(texts.preferences):
        found.setdefault(triple["section"], []).append(
            {key: triple[key] for key in ("prompt", "chosen", "rejected")}
        )
    return [triple for of_section in found.values() for triple in of_section[:of_each]]


def suite(texts: Texts, *, runs: int = 20) -> list[dict[str, Any]]:
    """All seventeen kinds; each entry is named after its kind."""
    stems = read(texts.stems)
    document, elsewhere = stems["document"], stems["elsewhere"]
    questions = [case["prompt"] for case in cases(texts)]
    asked: dict[str, dict[str, Any]] = {
        "null_adapter": {"runs": runs},
        "delta_kl": {"prompts": document},
        "adapter_revert": {"cases": cases(texts), "max_new_tokens": 32},
        "prompt_collapse": {"prompts": document, "context_lengths": [0, 64, 128, 256, 448]},
        "cluster_kl": {"prompts": [*document, *elsewhere], "num_clusters": 4},
        "multi_turn_coherence_decay": {
            "prompts": questions,
            "max_new_tokens": 32,
            "follow_ups": [line.format(texts.subject) for line in FOLLOW_UPS],
        },
        "section_internalization": {},
        "paraphrase_invariance": {"cases": cases(texts)},
        "preference_flip": {"triples": triples(texts)},
        "tool_use_fidelity": {"cases": "builtin"},
        "style_fingerprint": {"prompts": document, "max_new_tokens": 48},
        "calibration_drift": {},
        "external_perplexity": {},
        "leakage": {},
        "gradient_ghost": {},
        "training_drift": {},
        "adapter_ablation": {"prompts": document},
    }
    return [{"name": kind, "kind": kind, **options} for kind, options in asked.items()]


def spec(texts: Texts, base: Path, *, runs: int = 20, profile: str = "standard") -> dict[str, Any]:
    """A spec of ours; the adapters come from the command line."""
    models = {"base": {"kind": "hf", "base": str(base)}, "ft": {"kind": "hf", "base": str(base)}}
    return {
        "version": 1,
        "models": models,
        "defaults": {"profile": profile},
        "sections": str(texts.folder / "sections.yaml"),
        "controls": str(QUICKSTART / "controls.yaml"),
        "suite": suite(texts, runs=runs),
    }
