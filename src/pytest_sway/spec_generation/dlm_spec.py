"""A spec of a ``.dlm`` document's adapter: the text of ``sway autogen``, and the same as plain data."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_sway.dlm.resolve import DlmHandle
from pytest_sway.document import Document
from pytest_sway.spec_generation.adapter_folder import longest_dialogue, training_files
from pytest_sway.spec_generation.annotated_yaml import Alias, Anchored, block, comment
from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.spec_generation.data_rows import DataRow
from pytest_sway.spec_generation.generator import GeneratedSpec, suite_text
from pytest_sway.spec_generation.models_text import BaseFields, models_text, written_path
from pytest_sway.spec_generation.row_sample import sample_rows
from pytest_sway.spec_generation.spec_check import check_spec_text
from pytest_sway.spec_generation.suite_entries import Entry, LeftOut, TrainingFiles, suite_entries
from pytest_sway.spec_generation.training_sample import TrainingSample
from pytest_sway.version import __version__

_MOST_ROWS = 64
_ENTRY_NAMES = {
    "null_adapter": "null_baseline",
    "delta_kl": "delta_kl_doc",
    "adapter_revert": "revert_check",
    "prompt_collapse": "prompt_collapse",
    "section_internalization": "section_attribution",
    "paraphrase_invariance": "paraphrase_invariance",
    "preference_flip": "preference_flip",
    "style_fingerprint": "style_shift",
    "calibration_drift": "general_knowledge",
    "external_perplexity": "external_ppl",
    "leakage": "verbatim_leak",
    "cluster_kl": "cluster_kl_topics",
    "adapter_ablation": "adapter_ablation",
    "multi_turn_coherence_decay": "dialogue",
    "tool_use_fidelity": "tools",
    "gradient_ghost": "optimizer",
    "training_drift": "loss_curve",
}
"""dlm-sway's names of the entries in its order; the last four kinds are in no spec that it generates."""
_SYSTEM_COMMENT = (
    "The system prompt of the document. It precedes every question that uses the chat template, as in an "
    "exported model. dlm 0.10 trains without a system prompt; to remove it, write an empty string."
)
_DIGEST = re.compile(r"^# digest of the other lines: ([0-9a-f]{16})\n", re.MULTILINE)


def generate_dlm_spec(handle: DlmHandle, spec: Path) -> GeneratedSpec:
    """The annotated spec of a document's adapter.

    Args:
        handle: the document.
        spec: where it will be written; paths are relative to its folder.

    Raises:
        DataError: the document has no trained adapter, or nothing in it can be asked.
    """
    adapter = _adapter(handle)
    parts = list(_parts(handle))
    base = BaseFields(handle.base.name, handle.base.revision, handle.base.quantization)
    body = "\n".join(
        [
            "version: 1",
            comment("The training data.") + f"dlm_source: {written_path(str(handle.path), spec)}\n",
            models_text(spec, base, adapter) + _system_prompt_text(handle),
            suite_text(parts),
        ]
    )
    check_spec_text(body, spec)
    head = _head(handle, adapter, spec)
    digest = f"# digest of the other lines: {_digest(head + body)}\n"
    return GeneratedSpec.of(head + digest + body, handle.notes, parts)


def is_edited(text: str) -> bool:
    """Whether a spec is another one than :func:`generate_dlm_spec` wrote."""
    found = _DIGEST.search(text)
    return found is None or _digest(text[: found.start()] + text[found.end() :]) != found[1]


def build_spec_dict(handle: DlmHandle, dlm_source: str | Path | None = None) -> dict[str, Any]:
    """The spec of a document's adapter as plain data, for ``yaml.safe_dump(spec, sort_keys=False)``.

    Args:
        handle: of :func:`~pytest_sway.dlm.resolve.resolve_dlm`.
        dlm_source: what the spec names as its document; by default the document's own path.

    Raises:
        DataError: as for :func:`generate_dlm_spec`.
    """
    side = {"kind": "hf", "base": handle.base.name}
    optional = {"revision": handle.base.revision, "quantization": handle.base.quantization}
    side |= {name: value for name, value in optional.items() if value is not None}
    return {
        "version": 1,
        "dlm_source": str(handle.path.resolve() if dlm_source is None else dlm_source),
        "models": {"base": dict(side), "ft": {**side, "adapter": str(_adapter(handle))}},
        "defaults": {"profile": "standard", "prompt_policy": "auto", **_system_prompt(handle)},
        "suite": list(_plain_entries(part for part in _parts(handle) if isinstance(part, Entry))),
    }


def _system_prompt(handle: DlmHandle) -> dict[str, str]:
    """As a field of ``defaults``, where the document has one."""
    return {"system_prompt": handle.system_prompt} if handle.system_prompt.strip() else {}


def _system_prompt_text(handle: DlmHandle) -> str:
    field = _system_prompt(handle)
    return comment(_SYSTEM_COMMENT, 2) + block(field, 2) if field else ""


def _adapter(handle: DlmHandle) -> Path:
    if handle.adapter_path is None:
        raise DataError(
            f"{handle.path.name}: dlm's store has no trained adapter for this document; run dlm train "
            f"{handle.path.name} first, or set $DLM_HOME to the folder that contains store/"
        )
    return handle.adapter_path


def _parts(handle: DlmHandle) -> Iterator[Entry | LeftOut]:
    """The suite that the document allows, by the names and in the order of dlm-sway's generated specs."""
    rows = list(_rows(handle.document))
    sample = TrainingSample(sample_rows(rows, _MOST_ROWS, seed=0, longest=longest_dialogue(handle.base.name)))
    if not sample.prompts():
        raise DataError(
            f"{handle.path.name}: no spec can be generated, because the document has neither a question nor "
            "a sentence of at least four words"
        )
    files = training_files(handle.adapter_path) if handle.adapter_path is not None else TrainingFiles()
    order = list(_ENTRY_NAMES)
    parts = sorted(suite_entries(sample, None, files), key=lambda part: order.index(_kind(part)))
    for part in parts:
        if isinstance(part, Entry):
            yield Entry(part.reason, {**part.fields, "name": _ENTRY_NAMES[_kind(part)]})
        else:
            yield part


def _kind(part: Entry | LeftOut) -> str:
    return str(part.fields["kind"]) if isinstance(part, Entry) else part.kind


def _rows(document: Document) -> Iterator[DataRow]:
    """Its questions, preferences and texts as rows of a data set."""
    for section in document.sections:
        for qa in section.probes:
            yield DataRow(section.id, {"prompt": qa.prompt, "completion": qa.gold})
        for one in section.preferences:
            yield DataRow(section.id, {"prompt": one.prompt, "chosen": one.chosen, "rejected": one.rejected})
        if section.content:
            yield DataRow(section.id, {"text": section.content})


def _plain_entries(entries: Iterator[Entry]) -> Iterator[dict[str, Any]]:
    """The entries with their aliases filled in."""
    anchored: dict[str, Any] = {}
    for entry in entries:
        anchored |= {one.name: one.value for one in entry.fields.values() if isinstance(one, Anchored)}
        yield {name: _plain(value, anchored) for name, value in entry.fields.items()}


def _plain(value: Any, anchored: Mapping[str, Any]) -> Any:
    if isinstance(value, Anchored):
        return value.value
    return anchored[value.name] if isinstance(value, Alias) else value


def _head(handle: DlmHandle, adapter: Path, spec: Path) -> str:
    base = handle.base.name + (f" at revision {handle.base.revision}" if handle.base.revision else "")
    lines = [
        f"Made by sway autogen (pytest-sway {__version__}) on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        f"source: {handle.path.name}, dlm_id {handle.dlm_id}",
        f"base: {base}",
        f"adapter: {adapter.name}" + (f" of {handle.adapter_name}" if handle.adapter_name else ""),
        *([""] if handle.notes else []),
        *handle.notes,
        "",
        f"You can edit this file. Run it with:  sway run {spec.name}",
    ]
    return comment("\n".join(lines))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
