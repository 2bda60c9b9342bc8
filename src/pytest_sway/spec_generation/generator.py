"""An annotated spec of an adapter and the data that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pytest_sway.spec_generation.adapter_folder import longest_dialogue, training_files
from pytest_sway.spec_generation.annotated_yaml import comment, list_entry
from pytest_sway.spec_generation.models_text import BaseFields, models_text
from pytest_sway.spec_generation.row_sample import RowSample
from pytest_sway.spec_generation.sample_reading import read_held_out_sample, read_training_sample
from pytest_sway.spec_generation.spec_check import check_spec_text
from pytest_sway.spec_generation.suite_entries import (
    Entry,
    LeftOut,
    TrainingFiles,
    is_held_out,
    suite_entries,
)
from pytest_sway.spec_generation.training_sample import CASES, TEXTS, TrainingSample
from pytest_sway.version import __version__

_MOST_NAMED = 8


@dataclass(frozen=True)
class SpecInputs:
    """What a spec is made of.

    Attributes:
        spec: where it will be written; paths are relative to its folder.
        base: a folder, or a name on the hub.
        adapter: its folder; None: it is yet to be trained, in ``adapter`` beside the spec.
        data: the file, or folder of ``datasets``, that it was trained on.
        held_out: one that it was not trained on.
        max_rows: most rows of each that stand in the spec.
        seed: of the samples.
    """

    spec: Path
    base: str
    adapter: Path | None
    data: Path
    held_out: Path | None = None
    max_rows: int = 64
    seed: int = 0


@dataclass(frozen=True)
class GeneratedSpec:
    """The spec's text, and what to know of it.

    Attributes:
        text: YAML with comments.
        notes: sentences on rows that are not in it.
        kinds: of its entries.
        left_out: kinds that the data do not allow.
    """

    text: str
    notes: tuple[str, ...]
    kinds: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, notes: Sequence[str], parts: Sequence[Entry | LeftOut]) -> Self:
        """The spec of a suite's parts."""
        kinds = tuple(str(part.fields["kind"]) for part in parts if isinstance(part, Entry))
        left_out = tuple(part.kind for part in parts if isinstance(part, LeftOut))
        return cls(text, tuple(notes), kinds, left_out)


def generate_spec(inputs: SpecInputs) -> GeneratedSpec:
    """The spec.

    Raises:
        DataError: a file cannot be read, or none of its rows can be asked.
    """
    longest = longest_dialogue(inputs.base)
    data = read_training_sample(inputs.data, inputs.max_rows, inputs.seed, longest)
    held_out = None
    if inputs.held_out is not None:
        most, seed = inputs.max_rows, inputs.seed
        held_out = read_held_out_sample(inputs.held_out, most, seed, data.rows, longest)
    files = training_files(inputs.adapter) if inputs.adapter is not None else TrainingFiles()
    parts = list(suite_entries(data, held_out, files))
    notes = [*_notes(inputs.data, data.rows)]
    if inputs.held_out is not None and held_out is not None:
        notes += [*_shared_notes(inputs, held_out.rows), *_notes(inputs.held_out, held_out.rows)]
        if not any(isinstance(part, Entry) and is_held_out(part) for part in parts):
            notes.append(
                f"{inputs.held_out.name}: none of the rows is used. Usable rows are questions with answers "
                "of at most 600 characters, and preferences without preceding turns"
            )
    text = "\n".join(
        [
            _head(inputs, data.rows, notes),
            models_text(inputs.spec, BaseFields(inputs.base), inputs.adapter),
            _document(data, held_out),
            suite_text(parts),
        ]
    )
    check_spec_text(text, inputs.spec)
    return GeneratedSpec.of(text, notes, parts)


def _notes(path: Path, sample: RowSample) -> Iterator[str]:
    if sample.unreadable_count:
        first = "; ".join(sample.unreadable)
        more = sample.unreadable_count - len(sample.unreadable)
        rest = f"; and {more} more" if more else ""
        count = f"{sample.unreadable_count} of {sample.total} rows"
        yield f"{path.name}: {count} are not supported: {first}{rest}"
    if unused := TrainingSample(sample).unusable_tool_rows:
        yield (
            f"{path.name}: rows that call several tools at once or an undefined tool are not used "
            f"({unused} of the sampled rows)"
        )
    if (texts := sum(isinstance(one.taught, str) for one in sample.examples)) > TEXTS:
        yield (
            f"{path.name}: only {TEXTS} of {texts} sampled texts become sections, because every section is "
            "scored in full"
        )
    if (calls := len(TrainingSample(sample).tool_cases)) > CASES:
        yield f"{path.name}: only {CASES} of {calls} sampled tool calls become cases of tool_use_fidelity"
    if shortened := sample.shortened_count:
        noun = "text is" if shortened == 1 else "texts are"
        yield f"{path.name}: {shortened} {noun} truncated to 2,000 characters"


def _shared_notes(inputs: SpecInputs, held_out: RowSample) -> Iterator[str]:
    assert inputs.held_out is not None
    if held_out.shared:
        named = ", ".join(held_out.shared[:_MOST_NAMED])
        more = len(held_out.shared) - _MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield (
            f"{len(held_out.shared)} of {held_out.total} rows of {inputs.held_out.name} are not included, "
            f"because their answers are also in {inputs.data.name}: {named}{rest}"
        )


def _head(inputs: SpecInputs, sample: RowSample, notes: list[str]) -> str:
    options = f"--max-rows {inputs.max_rows}, --seed {inputs.seed}"
    size = f"{len(sample.examples)} of {sample.distinct} distinct rows ({options})"
    lines = [
        f"Made by sway init (pytest-sway {__version__}) from {inputs.data.name}: {size}.",
        "You can edit this file. Run it with:  sway run " + inputs.spec.name,
    ]
    if notes:
        lines += ["", *notes]
    return comment("\n".join(lines)) + "version: 1"


def _document(data: TrainingSample, held_out: TrainingSample | None) -> str:
    sections = data.sections()
    text = ""
    if sections:
        text += comment("The training data: the answers and texts that the training loss covers.")
        text += "sections:\n" + "".join(list_entry(section) for section in sections)
    if held_out is not None and (controls := held_out.controls()):
        text += comment(
            "Held-out rows, which the adapter was not trained on. If the adapter also makes these rows more "
            "likely, it has learned their style and not their content, so this gain is subtracted from the "
            "gain on the sections. Remove these rows if the adapter should only learn a style."
        )
        text += "controls:\n" + "".join(list_entry(control) for control in controls)
    return text


def suite_text(parts: Sequence[Entry | LeftOut]) -> str:
    """``suite:``, each entry under its comment, and as comments what is left out."""
    entries = [part for part in parts if isinstance(part, Entry)]
    text = "suite:\n" + "\n".join(comment(one.reason, 2) + list_entry(one.fields) for one in entries)
    left_out = [part for part in parts if isinstance(part, LeftOut)]
    return text + "".join(["\n", *(comment(f"not included: {one.kind} ({one.reason})") for one in left_out)])
