"""The spec of a first look: on neutral beginnings, on given prompts, on the data of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_sway.spec_generation.annotated_yaml import block
from pytest_sway.spec_generation.suite_entries import TrainingFiles
from pytest_sway.spec_generation.training_sample import TrainingSample

BEGINNINGS = (
    "The",
    "In the",
    "It is",
    "When",
    "If",
    "There are",
    "Each",
    "After",
    "Who are you?",
    "What do you know?",
    "Where is it?",
    "Who works here?",
    "What is it called?",
    "What happened?",
    "Why is that?",
    "How does it work?",
)
"""They say nothing, so an adapter goes on with what it was trained on, if it is ready to."""
_POSITIONS = 24
_FLOOR = 0.01
"""Nats; dlm-sway's check has the same."""
_NULLS = 8


@dataclass(frozen=True)
class CheckInputs:
    """What is looked at.

    Attributes:
        adapter: its folder, absolute.
        base: an absolute folder, or a name on the hub.
        prompts: of the user's, about what was trained on.
        data: rows that it was trained on.
        files: what training left beside it.
    """

    adapter: Path
    base: str
    prompts: Sequence[str] = ()
    data: TrainingSample | None = None
    files: TrainingFiles = field(default_factory=TrainingFiles)


def check_spec(inputs: CheckInputs) -> str:
    """The spec's YAML."""
    models = {
        "base": {"kind": "hf", "base": inputs.base},
        "ft": {"kind": "hf", "base": inputs.base, "adapter": str(inputs.adapter)},
    }
    return block({"version": 1, "models": models, "suite": _suite(inputs)})


def _suite(inputs: CheckInputs) -> list[dict[str, Any]]:
    effect = {"kind": "delta_kl", "assert_mean_gte": _FLOOR}
    suite: list[dict[str, Any]] = []
    if inputs.files.has_optimizer_state:
        suite.append({"name": "optimizer", "kind": "gradient_ghost"})
    if inputs.files.has_log:
        suite.append({"name": "loss_curve", "kind": "training_drift"})
    suite.append({"name": "null_baseline", "kind": "null_adapter", "runs": _NULLS})
    own = {"prompts": list(BEGINNINGS), "positions": _POSITIONS, "continuation": "adapter"}
    suite.append({"name": "own_words", **effect, **own})
    if inputs.prompts:
        suite.append({"name": "prompts", **effect, "prompts": list(inputs.prompts)})
    if inputs.data is not None:
        suite.append({"name": "trained", **effect, "prompts": inputs.data.prompts()})
        if cases := inputs.data.cases():
            suite.append({"name": "answers", "kind": "paraphrase_invariance", "cases": cases})
            suite.append(_written("written", cases, [case["prompt"] for case in cases]))
            suite.append(_written("written_otherwise", cases, [case["paraphrases"][0] for case in cases]))
    suite.append({"name": "facts", "kind": "calibration_drift"})
    suite.append({"name": "prose", "kind": "external_perplexity"})
    return suite


def _written(name: str, cases: Sequence[dict[str, Any]], asked: Sequence[str]) -> dict[str, Any]:
    """What it writes when it is asked so."""
    rows = [
        {**{key: case[key] for key in ("context",) if key in case}, "prompt": prompt, "gold": case["gold"]}
        for case, prompt in zip(cases, asked, strict=True)
    ]
    return {"name": name, "kind": "samples", "cases": rows, "count": len(rows)}
