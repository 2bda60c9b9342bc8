"""training_drift: whether the training loss fell, calmly, before any model is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from pytest_sway.probes.base import Claim, Judgement, Nulls, Probe, ProbeError, ProbeOptions, ProbeSkip
from pytest_sway.probes.paths import placed
from pytest_sway.probes.rules_pre_run import judge_pre_run
from pytest_sway.probes.thresholds import Share
from pytest_sway.requests import Views
from pytest_sway.result import Measurement
from pytest_sway.spec.folders import listed
from pytest_sway.spec.variables import Expanded
from pytest_sway.statistics.losses import LossCurve, loss_curve, validation
from pytest_sway.training.logs import Run, log_files, read_logs
from pytest_sway.training.steps import runs_of
from pytest_sway.training.store import TrainingDataError, Version, version_of

_MOST_NON_FINITE = 0.05
"""A larger share of losses that are no finite numbers is a broken run."""
_POINTS = 512
_LISTED = 20


class TrainingDriftOptions(ProbeOptions):
    """Options of ``training_drift``; without ``store_path`` it reads the store of the adapter."""

    store_path: Expanded | None = Field(default=None, min_length=1)
    min_steps: int = Field(default=10, ge=4)
    rolling_window: int = Field(default=10, ge=3, le=1000)
    spike_sigma: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    assert_smoothness_gte: Share = 0.7
    assert_convergence_ratio_lte: float = Field(default=0.7, gt=0, allow_inf_nan=False)
    assert_instability_events_lte: int = Field(default=0, ge=0)


class TrainingDrift(Probe[TrainingDriftOptions]):
    """Did the loss of the run that made this adapter fall, and calmly?

    Reads training logs (``train-*.jsonl``), one run apart from the other, and judges the run that made the
    adapter under evaluation, else the last one with ``min_steps``. Broken: losses that are no finite
    numbers at the end or in more than 5 % of the steps, or an end above the start. Doubtful: a smoothed loss
    that fell too little, moved up too much, spiked, or a validation loss that rises at the end. Levels are
    medians, noise is 1.4826 × MAD, and a spike is what heavy-tailed noise of that scale does not give
    (:mod:`pytest_sway.statistics.losses`). raw = smoothness.
    """

    kind, category, claim = "training_drift", "calibration", Claim.PRE_RUN

    async def measure(self, options: TrainingDriftOptions, views: Views) -> Measurement:
        """Read the logs, choose the run, measure its curve."""
        place, version = self._place(options)
        files = log_files(place)
        if not files:
            raise ProbeSkip(f"{place} holds no training logs (logs/train-*.jsonl)")
        try:
            logs = read_logs(files)
        except TrainingDataError as error:
            raise ProbeError(str(error)) from None
        run, why = _chosen(logs.runs, version, options.min_steps)
        curve = loss_curve(run.losses, options.rolling_window, options.spike_sigma)
        evidence = {
            "num_log_files": logs.files,
            "num_unread_lines": logs.unread,
            "run": _told(run),
            "chosen": why,
            "num_runs": len(logs.runs),
            "runs": [_told(other) for other in logs.runs[-_LISTED:]],
            **_measured(run, curve),
            **{name: getattr(options, name) for name in _THRESHOLDS},
        }
        return Measurement(raw=curve.smoothness, evidence=evidence)

    def _place(self, options: TrainingDriftOptions) -> tuple[Path, Version | None]:
        """Where the logs are, and which version of theirs the adapter is."""
        adapter = self.setting.adapter
        version = version_of(adapter) if adapter is not None else None
        if options.store_path is None:
            if version is None:
                raise ProbeSkip(
                    "the adapter lies in no dlm store: name a store, or a folder of logs, as store_path"
                )
            return version.store, version
        place = placed(options.store_path, self.setting.folder, "store_path")
        inside = version is not None and place.resolve().is_relative_to(version.store)
        return place, version if inside else None

    def judge(self, options: TrainingDriftOptions, measured: Measurement, nulls: Nulls | None) -> Judgement:
        """The pre-run rule: a run that broke or diverged is primary, its shape secondary."""
        found = measured.evidence
        return judge_pre_run(
            _broken(found),
            _doubtful(found, options),
            f"{_fall(found)} over {found['num_steps']} logged steps, smoothness {found['smoothness']:.2f}"
            f" ({found['chosen']})",
        )


_THRESHOLDS = (
    "rolling_window",
    "spike_sigma",
    "assert_smoothness_gte",
    "assert_convergence_ratio_lte",
    "assert_instability_events_lte",
)


def _chosen(runs: Sequence[Run], version: Version | None, least: int) -> tuple[Run, str]:
    """The run to judge, and why it is that one."""
    if version is not None:
        made = [run for run in runs_of(version, runs) if run.adapter_version == version.number]
        if version.adapter and len(made) > 1:
            text = f"{len(made)} runs made a v{version.number:04d}, and no manifest.json tells which is"
            raise ProbeSkip(f"{text} {version.adapter}'s: name its log as store_path")
        if made and len(made[-1].steps) < least:
            count = len(made[-1].steps)
            raise ProbeSkip(f"the run that made {version.label} logged {count} steps, min_steps is {least}")
        if made:
            return made[-1], f"the run that made {version.label}"
    enough = [run for run in runs if len(run.steps) >= least]
    if not enough:
        longest = max((len(run.steps) for run in runs), default=0)
        raise ProbeSkip(f"the longest run logged {longest} steps, min_steps is {least}")
    unknown = f", since no log tells which made {version.label}" if version is not None else ""
    return enough[-1], f"the last run{unknown}"


def _told(run: Run) -> dict[str, Any]:
    """A run in one line of evidence."""
    return {
        "file": run.file,
        "run_id": run.run_id,
        "phase": run.phase,
        "adapter_version": run.adapter_version,
        "logged_steps": len(run.steps),
        "first_step": run.steps[0] if run.steps else None,
        "last_step": run.steps[-1] if run.steps else None,
    }


def _measured(run: Run, curve: LossCurve) -> dict[str, Any]:
    """What the run's losses are, under the contract's keys and ours."""
    checked = [loss for _, loss in run.validation]
    held_out = validation([loss for loss in checked if math.isfinite(loss)])
    return {
        "num_steps": len(run.steps),
        "initial_loss": curve.initial,
        "final_loss": curve.final,
        "convergence_ratio": curve.convergence_ratio,
        "smoothness": curve.smoothness,
        "instability_events": curve.events,
        "spike_steps": [run.steps[index] for index in curve.spikes[:_LISTED]],
        "num_nonfinite": curve.non_finite,
        "ends_nonfinite": not math.isfinite(run.losses[-1]),
        "diverged": curve.diverged,
        "num_val_losses": len(checked),
        "num_nonfinite_val": sum(not math.isfinite(loss) for loss in checked),
        "best_val_loss": held_out.best if held_out is not None else None,
        "final_val_loss": held_out.last if held_out is not None else None,
        "val_loss_rises": held_out is not None and held_out.rises,
        "curve_sampled": _sampled(run),
    }


def _sampled(run: Run) -> list[list[float | None]]:
    """Step and loss of at most 512 steps at even distances, first and last among them."""
    last = len(run.steps) - 1
    count = min(_POINTS, last + 1)
    indices = [round(i * last / (count - 1)) for i in range(count)]
    return [[run.steps[i], loss if math.isfinite(loss := run.losses[i]) else None] for i in indices]


def _fall(found: Mapping[str, Any]) -> str:
    levels = (found["initial_loss"], found["final_loss"])
    first, last = ("?" if level is None else f"{level:.3g}" for level in levels)
    return f"loss {first} → {last}"


def _broken(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with the primary signal: losses that are numbers, and do not rise."""
    broken, lost = [], found["num_nonfinite"]
    if lost > _MOST_NON_FINITE * found["num_steps"]:
        broken.append(f"{lost} of {found['num_steps']} losses are NaN or infinite")
    elif found["ends_nonfinite"]:
        broken.append("the last loss is NaN or infinite")
    if found["diverged"]:
        broken.append(f"it diverged: {_fall(found)}")
    return broken


def _doubtful(found: Mapping[str, Any], options: TrainingDriftOptions) -> list[str]:
    """What is wrong with the secondary signals."""
    doubtful = []
    ratio, most = found["convergence_ratio"], options.assert_convergence_ratio_lte
    if ratio is not None and ratio > most and not found["diverged"]:
        hint = "; one that goes on from a trained adapter has less to fall" if ratio <= 1 else ""
        doubtful.append(f"{_fall(found)}, {ratio:.2f} of its start (at most {most:g}{hint})")
    if found["smoothness"] < options.assert_smoothness_gte:
        doubtful.append(f"smoothness {found['smoothness']:.2f} (at least {options.assert_smoothness_gte:g})")
    if found["instability_events"] > options.assert_instability_events_lte:
        steps = (
            f", spikes at step {listed([str(s) for s in found['spike_steps']])}"
            if found["spike_steps"]
            else ""
        )
        most_events = options.assert_instability_events_lte
        doubtful.append(f"{found['instability_events']} instability events (at most {most_events}){steps}")
    if found["val_loss_rises"]:
        rise = f"{found['best_val_loss']:.3g} to {found['final_val_loss']:.3g}"
        doubtful.append(f"the validation loss rose again, from {rise}: it overfits")
    if found["num_nonfinite_val"]:
        doubtful.append(f"{found['num_nonfinite_val']} validation losses are NaN or infinite")
    return doubtful
