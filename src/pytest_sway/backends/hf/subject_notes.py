"""Notes for the report on the files of an adapter and of its base."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.backends.hf.adapter_files.declared_base import declared_base_mismatch
from pytest_sway.backends.hf.attach import SubjectFiles
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint


@dataclass(frozen=True)
class SubjectNotes:
    """Sentences for the report.

    Attributes:
        warnings: that the adapter is known to be another base's; they lead the report.
        notes: the others.
    """

    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def subject_notes(source: SubjectFiles, base: BaseModel) -> SubjectNotes:
    """Adapters in the models' folders that are not loaded, and the base that the adapter names."""
    files = source.files
    own = files.folder if files is not None else None
    tuned = read_checkpoint(source.model) if source.model is not None else None
    checkpoints = [checkpoint for checkpoint in (base.checkpoint, tuned) if checkpoint is not None]
    notes = [*base.notes, *(note for checkpoint in checkpoints for note in checkpoint.notes(own))]
    if files is None:
        return SubjectNotes((), tuple(notes))
    on = base if tuned is None else BaseModel("", name=str(source.model), checkpoint=tuned)
    mismatch = declared_base_mismatch(files.folder, files.config, on)
    if mismatch is not None and not mismatch.is_certain:
        notes.append(mismatch.text)
    certain = (mismatch.text,) if mismatch is not None and mismatch.is_certain else ()
    return SubjectNotes(certain, tuple(notes))
