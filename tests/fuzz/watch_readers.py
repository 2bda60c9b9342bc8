"""Readers of what a watch finds: results in its history, and a training's files in a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_sway.suites.saved_results import SavedResultError, read_saved_result
from pytest_sway.watch.adapter_folders import files_of, may_go_on, why_incomplete
from pytest_sway.watch.history import History
from pytest_sway.watch.pending import PendingAdapters
from tests.fuzz.mutations import json_documents, write_json
from tests.fuzz.reader import Reader
from tests.support.saved_results import DLM_SWAY_RESULT
from tests.support.written_adapters import write_adapter

_OWN = {
    "sequence": 1, "adapter_pointer": "/run/checkpoint-5", "adapter_digest": "abc", "verdict": "pass",
    "run_seconds": 1.5, "overall_score": 0.5, "spec_path": "sway.yaml", "wrote_at": "2026-11-30T12:00:00",
}  # fmt: skip
_RESULT = {**json.loads(DLM_SWAY_RESULT.read_text("utf-8")), "sway_watch": _OWN}
_ERROR = {"verdict": "error", "error": "no memory", "sway_watch": {**_OWN, "verdict": "error"}}
_STATE = {"global_step": 5, "log_history": [{"step": 5, "loss": 1.0}], "epoch": 0.5}
_MOST = 2
"""Results that are kept, so that adding one removes another."""


def _read_history(file: Path) -> None:
    """As a watch reads it at its start, and goes on with it."""
    history = History(file.parent, "sway.yaml", _MOST)
    history.find("abc")
    for entry in history.entries:
        if not entry.is_error:
            try:
                read_saved_result(entry.file)
            except SavedResultError as refusal:
                assert str(refusal).strip()
    own = {"adapter_pointer": "/run/checkpoint-6", "adapter_digest": "d", "verdict": "fail"}
    added = history.add(_RESULT, own)
    assert added.sequence > 1
    assert read_saved_result(added.file).probes
    for one in file.parent.glob("*.result.json"):
        one.unlink()


def _read_checkpoint(file: Path) -> None:
    """As a watch looks at a folder that a Trainer is still writing."""
    folder, clock = file.parent, iter(range(0, 100, 10))
    why_incomplete(folder)
    may_go_on(folder, (), files_of(folder))
    pending = PendingAdapters(1.0, 30.0, lambda: next(clock))
    pending.scan([folder])
    pending.next_ready()
    list(pending.overdue())


def _adapter_beside(folder: Path) -> None:
    if not (folder / "adapter_model.safetensors").is_file():
        write_adapter(folder, 0)


READERS = [
    Reader("watch-history", "history/20261130T120000Z-00001.result.json", _read_history, (),
           json_documents(_RESULT, _ERROR), sound=[write_json(_RESULT), write_json(_ERROR)], writes=True),
    Reader("watched-checkpoint", "checkpoint-5/trainer_state.json", _read_checkpoint, (),
           json_documents(_STATE), lambda folder: _adapter_beside(folder / "checkpoint-5"),
           [write_json(_STATE)]),
]  # fmt: skip
