"""The suite that data allow: every kind that can ask something of them, and what is left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sway.data.packaged_texts import passages
from pytest_sway.spec_generation.annotated_yaml import Alias, Anchored
from pytest_sway.spec_generation.text_beginnings import text_beginnings
from pytest_sway.spec_generation.training_sample import CASES, TOPIC_PROMPTS, TrainingSample

_HELD_OUT = "held_out_"
_FEWEST_TOPIC_PROMPTS = 20
"""``min_prompts`` of ``cluster_kl``."""
_FEWEST_STYLE_WORDS = 50
"""A shorter text shows no style."""
OTHER_TOPIC_PROMPTS = 12
"""So many beginnings of packaged prose stand beside the data's own prompts."""
_FEWEST_DIALOGUES = 4
"""Fewer decide nothing in ``multi_turn_coherence_decay``."""


@dataclass(frozen=True)
class Entry:
    """An entry of the suite.

    Attributes:
        reason: what it is asked for, as a comment.
        fields: as they are written.
    """

    reason: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class LeftOut:
    """A kind without an entry, and why."""

    kind: str
    reason: str


@dataclass(frozen=True)
class TrainingFiles:
    """What training left beside the adapter.

    Attributes:
        has_optimizer_state: whether ``gradient_ghost`` finds something to read.
        has_log: whether ``training_drift`` does.
    """

    has_optimizer_state: bool = False
    has_log: bool = False


def suite_entries(
    sample: TrainingSample, held_out: TrainingSample | None, files: TrainingFiles
) -> Iterator[Entry | LeftOut]:
    """The entries of the suite, in the order of its categories."""
    yield Entry(
        "Random adapters of the same size and shape. Every effect below is compared with these adapters.",
        {"name": "null_baseline", "kind": "null_adapter"},
    )
    yield from _adherence(sample)
    yield from _attribution(sample)
    if held_out is not None:
        yield from _held_out(held_out)
    yield from _calibration(sample, files)
    if sample.prompts():
        yield Entry(
            "Does the effect grow with the adapter's strength, as expected of a healthy adapter?",
            {"name": "strength", "kind": "adapter_ablation", "prompts": Alias("prompts")},
        )


def _adherence(sample: TrainingSample) -> Iterator[Entry | LeftOut]:
    prompts = sample.prompts()
    yield Entry(
        "Does the adapter change the model on its training data? Use at least five prompts.",
        {"name": "moved", "kind": "delta_kl", "prompts": Anchored("prompts", prompts)},
    )
    if cases := sample.cases():
        yield Entry(
            "If a question is worded differently, is the adapter's answer closer to the trained answer than "
            "the base model's answer is? (needs the extra semsim)\n"
            "The wordings come from a template. Replace them with the wordings of your users.",
            {"name": "answers", "kind": "adapter_revert", "cases": Anchored("cases", cases)},
        )
    else:
        yield LeftOut("adapter_revert", "needs questions with answers of at most 600 characters")
    yield Entry(
        "Does the effect persist after unrelated text?",
        {"name": "behind_other_text", "kind": "prompt_collapse", "prompts": Alias("prompts")},
    )
    topics = sample.prompts(TOPIC_PROMPTS)
    if len(topics) >= _FEWEST_TOPIC_PROMPTS - OTHER_TOPIC_PROMPTS:
        others = text_beginnings([passage.text for passage in passages()], OTHER_TOPIC_PROMPTS)
        yield Entry(
            "Is the effect stronger on the trained topics than on other topics? The last prompts are "
            "off-topic. (needs the extra semsim)",
            {"name": "topics", "kind": "cluster_kl", "prompts": [*topics, *others]},
        )
    else:
        wanted = _FEWEST_TOPIC_PROMPTS - OTHER_TOPIC_PROMPTS
        yield LeftOut("cluster_kl", f"needs at least {wanted} prompts from the training data")
    asked = sample.asked[:CASES]
    if len(asked) >= _FEWEST_DIALOGUES:
        yield Entry(
            "Does the effect persist over the turns of a dialogue? (skipped if the tokenizer has no chat "
            "template)",
            {"name": "dialogue", "kind": "multi_turn_coherence_decay", "prompts": asked},
        )
    else:
        yield LeftOut(
            "multi_turn_coherence_decay", f"needs {_FEWEST_DIALOGUES} questions, but there are {len(asked)}"
        )


def _attribution(sample: TrainingSample) -> Iterator[Entry | LeftOut]:
    if sample.sections():
        yield Entry("Which sections were learned?", {"name": "sections", "kind": "section_internalization"})
    else:
        yield LeftOut("section_internalization", "needs questions with answers, preferences or texts")
    if sample.cases():
        yield Entry(
            "Does the adapter know the answers, also when the question is worded differently?",
            {"name": "other_wordings", "kind": "paraphrase_invariance", "cases": Alias("cases")},
        )
    else:
        yield LeftOut("paraphrase_invariance", "needs questions with answers of at most 600 characters")
    if sample.triples:
        yield Entry(
            "Did the adapter learn to prefer the chosen answers? (uses the preferences of the sections)",
            {"name": "preferences", "kind": "preference_flip"},
        )
    else:
        yield LeftOut("preference_flip", "needs rows with chosen and rejected answers")
    if sample.tool_cases:
        yield Entry(
            "Does the adapter call the right tool with valid arguments?",
            {"name": "tools", "kind": "tool_use_fidelity", "cases": sample.tool_cases[:CASES]},
        )
    else:
        yield LeftOut(
            "tool_use_fidelity",
            "needs rows whose answer is a tool call; for pytest-sway's own cases, write cases: builtin",
        )


def is_held_out(entry: Entry) -> bool:
    """Whether it asks what was not trained on."""
    return str(entry.fields["name"]).startswith(_HELD_OUT)


def _held_out(sample: TrainingSample) -> Iterator[Entry]:
    if cases := sample.cases():
        yield Entry(
            "Questions that the adapter was not trained on. Does it generalize beyond its training rows?",
            {"name": f"{_HELD_OUT}answers", "kind": "paraphrase_invariance", "cases": cases},
        )
    if triples := [
        {"prompt": t.prompt, "chosen": t.chosen, "rejected": t.rejected}
        for t in sample.triples
        if not t.context
    ]:
        yield Entry(
            "Preferences that the adapter was not trained on.",
            {"name": f"{_HELD_OUT}preferences", "kind": "preference_flip", "triples": triples},
        )


def _calibration(sample: TrainingSample, files: TrainingFiles) -> Iterator[Entry | LeftOut]:
    lengths = [len(text.split()) for text in sample.texts]
    if sum(length for length in lengths if length >= _FEWEST_STYLE_WORDS) >= 2 * _FEWEST_STYLE_WORDS:
        yield Entry(
            "Do the adapter's answers match the style of the texts?",
            {"name": "style", "kind": "style_fingerprint", "prompts": Alias("prompts")},
        )
    else:
        wanted = f"some texts of at least {_FEWEST_STYLE_WORDS} words"
        yield LeftOut("style_fingerprint", f"needs {wanted}, either as sections of prose or in doc_reference")
    if sample.texts:
        yield Entry("Does the adapter recite the texts verbatim?", {"name": "leakage", "kind": "leakage"})
    else:
        yield LeftOut("leakage", "needs sections of prose")
    yield Entry("Does the model still know general facts?", {"name": "facts", "kind": "calibration_drift"})
    yield Entry(
        "Does the adapter predict general prose as well as the base model?",
        {"name": "prose", "kind": "external_perplexity"},
    )
    if files.has_optimizer_state:
        yield Entry(
            "Was every layer of the adapter trained long enough?",
            {"name": "optimizer", "kind": "gradient_ghost"},
        )
    else:
        yield LeftOut("gradient_ghost", "there is no optimizer state next to the adapter")
    if files.has_log:
        yield Entry("Is the loss curve sound?", {"name": "loss_curve", "kind": "training_drift"})
    else:
        yield LeftOut("training_drift", "there is no training log next to the adapter")
