"""Readers of what trainers write: logs, ``trainer_state.json``, optimizer states."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from pytest_sway.items.run_probe import run_probe
from pytest_sway.probes.base import Probe, ProbeContext
from pytest_sway.probes.gradient_ghost import GradientGhost
from pytest_sway.probes.training_drift import TrainingDrift
from pytest_sway.suites.json_conversion import to_json
from tests.fuzz.mutations import changed_bytes, changed_value, json_documents
from tests.fuzz.reader import Reader
from tests.support.written_adapters import write_adapter

_RECORDS = [
    {"epoch": 0.1, "step": 5, "loss": 3.2, "grad_norm": 1.0, "learning_rate": 1e-4},
    {"epoch": 0.2, "step": 10, "loss": 2.1, "grad_norm": float("nan"), "rewards/accuracies": 0.5},
    {"epoch": 0.2, "step": 10, "eval_loss": 2.4, "eval_runtime": 1.0},
    {"epoch": 0.3, "step": 15, "loss": "1.5", "grad_norm": 0.9, "completions/mean_length": 3.0},
    {"current_steps": 20, "loss": 1.1, "lr": 1e-4, "total_steps": 200},
    *({"step": step, "loss": 20 / step, "grad_norm": 1.0} for step in (25, 30, 35)),
]
_STATE = {"best_metric": None, "epoch": 0.3, "global_step": 35, "logging_steps": 5, "log_history": _RECORDS}
_DLM = [
    {"type": "banner", "run_id": 1, "seed": 0},
    {"type": "step", "step": 5, "loss": 3.0, "lr": 1e-4, "grad_norm": None, "val_loss": 3.1},
    {"type": "step", "step": 10, "loss": 2.0, "lr": 1e-4, "grad_norm": 1.0},
    *({"type": "step", "step": step, "loss": 20 / step} for step in (15, 20, 25)),
    {"type": "dpo_phase_start", "reference_adapter_version": 1},
    {"type": "step", "step": 5, "loss": 0.6},
    {"type": "run_complete", "adapter_version": 2, "steps": 10},
]
_TORCHTUNE = b"Step 1 | loss:1.25 lr:0.0003 grad_norm:0.5 \n" + b"".join(
    b"Step %d | loss:tensor(%d.5) grad_norm:inf \n" % (step, 9 - step) for step in range(2, 6)
)


def _lines(records: Any) -> bytes:
    """One record a line; anything but a list is the only record."""
    rows = records if isinstance(records, list) else [records]
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _json_lines(*sound: Any) -> st.SearchStrategy[bytes]:
    return changed_value(sound).map(_lines) | changed_bytes([_lines(one) for one in sound])


def _judge(probe: Probe[Any]) -> None:
    """The probe's result, which a report then writes."""
    json.dumps(to_json(run_probe(probe, None)), allow_nan=False)


def _read_log(file: Path) -> None:
    _judge(TrainingDrift(store_path=str(file), min_steps=4))


def _read_output_folder(file: Path) -> None:
    """What a checkpoint's folder and the output folder above it say of the training."""
    for folder in (file.parent, file.parent.parent):
        context = ProbeContext(adapter=folder)
        _judge(TrainingDrift(min_steps=4).with_context(context))
        _judge(GradientGhost().with_context(context))


def _read_optimizer(file: Path) -> None:
    _judge(GradientGhost(adapter_path=str(file)))


def _adapter_beside(folder: Path) -> None:
    """An adapter that the optimizer's parameters may be those of."""
    if not (folder / "adapter_model.safetensors").is_file():
        write_adapter(folder, 0)


def _optimizer_state() -> dict[str, Any]:
    kept = {"step": torch.tensor(5.0), "exp_avg": torch.ones(2, 64), "exp_avg_sq": torch.ones(2, 64)}
    groups = [{"params": [0, 1], "lr": 1e-3, "betas": (0.9, 0.99), "initial_lr": 1e-3}]
    return {"state": {0: kept, 1: {"step": 5, "exp_avg_sq": torch.ones(64, 2)}}, "param_groups": groups}


def _saved(value: Any, *, as_zip: bool = True) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, _use_new_zipfile_serialization=as_zip)
    return content.getvalue()


class _Calls:
    """Names a callable in a pickle, with which a hostile file would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("written-by-a-pickle", "w")


def _with_pickle(archive: bytes, content: bytes) -> bytes:
    """The archive with another ``data.pkl``."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(changed, "w") as target:
        for entry in source.infolist():
            is_pickle = entry.filename.endswith("data.pkl")
            target.writestr(entry.filename, content if is_pickle else source.read(entry))
    return changed.getvalue()


def _pickle_of(archive: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return source.read(next(name for name in source.namelist() if name.endswith("data.pkl")))


_BITSANDBYTES = {
    "state1": torch.zeros(256, dtype=torch.uint8),
    "qmap1": torch.zeros(256),
    "absmax1": torch.zeros(1),
}
_ADAFACTOR = {"exp_avg_sq_row": torch.ones(2), "exp_avg_sq_col": torch.ones(3), "step": 4}
_PLAIN = _optimizer_state()
_STATES = [
    _PLAIN,
    {**_PLAIN, "state": {0: _BITSANDBYTES, 1: _ADAFACTOR}},
    {"_state_sidecar_version": 2, "optimizer_state_dict": _PLAIN, "global_step": 60, "epoch": 3.0,
     "best_val_loss": 1.25, "use_qlora": False},
]  # fmt: skip
_ZIPS = [_saved(state) for state in _STATES]
_PICKLES = [*map(_pickle_of, _ZIPS), pickle.dumps({"state": _Calls()}, 2), b"cos\nsystem\n(S'touch x'\ntR."]
_OPTIMIZERS = (
    changed_value(_STATES).map(_saved)
    | changed_bytes([*_ZIPS, _saved(_PLAIN, as_zip=False), *_PICKLES])
    | st.builds(_with_pickle, st.sampled_from(_ZIPS), st.sampled_from(_PICKLES) | changed_bytes(_PICKLES))
)

READERS = [
    Reader("trainer-state", "trainer_state.json", _read_log, (), json_documents(_STATE, _RECORDS)),
    Reader("trainer-log", "trainer_log.jsonl", _read_log, (), _json_lines(_RECORDS)),
    Reader("dlm-log", "train-000001.jsonl", _read_log, (), _json_lines(_DLM)),
    Reader("torchtune-log", "log_1.txt", _read_log, (), changed_bytes([_TORCHTUNE])),
    Reader(
        "checkpoint-state", "out/checkpoint-35/trainer_state.json", _read_output_folder, (),
        json_documents(_STATE), lambda folder: _adapter_beside(folder / "out" / "checkpoint-35"),
    ),
    Reader("optimizer-state", "optimizer.pt", _read_optimizer, (), _OPTIMIZERS, _adapter_beside),
]  # fmt: skip
"""What cannot be read is the probe's verdict: an error or a skip with the reason, never an exception."""
