"""training_drift: whether the training loss fell, calmly, before any model is loaded."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from pytest_sway.dlm.store import DlmVersion, version_of
from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeOptions, ProbeSkip
from pytest_sway.probes.judging.loss_criteria import broken_signals, doubtful_signals, loss_levels
from pytest_sway.probes.judging.pre_run import judge_pre_run
from pytest_sway.probes.judging.thresholds import Share
from pytest_sway.probes.shared.option_paths import resolve_path
from pytest_sway.probes.shared.training_files import file_read, nothing_to_read, probe_errors
from pytest_sway.requests import Views
from pytest_sway.result import Claim, Measurement
from pytest_sway.spec.environment_variables import Expanded
from pytest_sway.statistics.loss_curve import LossCurve, loss_curve, validation_trend
from pytest_sway.training.checkpoints import other_adapters
from pytest_sway.training.errors import TooFewStepsError
from pytest_sway.training.gradient_norms import gradient_norms
from pytest_sway.training.log_discovery import LogSource, find_logs
from pytest_sway.training.log_reader import DLM, Logs, read_logs
from pytest_sway.training.run_selection import ChosenRun, ends_broken, select_dlm_run, select_trainer_run
from pytest_sway.training.training_run import REWARD_PHASE, TrainingRun
from pytest_sway.training.unsupported_files import READ_LOGS, unread_logs

_POINTS = 512
_LISTED = 20


class TrainingDriftOptions(ProbeOptions):
    """Options of ``training_drift``; without ``store_path`` it reads what lies with the adapter."""

    store_path: Expanded | None = Field(default=None, min_length=1)
    min_steps: int = Field(default=10, ge=4)
    rolling_window: int = Field(default=10, ge=3, le=1000)
    spike_sigma: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    assert_smoothness_gte: Share = 0.7
    assert_convergence_ratio_lte: float = Field(default=0.7, gt=0, allow_inf_nan=False)
    assert_instability_events_lte: int = Field(default=0, ge=0)


class TrainingDrift(Probe[TrainingDriftOptions]):
    """Did the loss of the run that made this adapter fall, and calmly?

    Reads the log of the run that made the adapter: ``trainer_state.json`` (transformers' Trainer, and TRL,
    axolotl and Unsloth on top of it), ``trainer_log.jsonl`` (LLaMA-Factory), ``log_*.txt`` (torchtune), or
    ``train-*.jsonl`` (dlm), in the adapter's folder, in that of its checkpoint, or at ``store_path``. Of
    several runs it judges the one that made the adapter, else the last one; in dlm's logs, the last one with
    ``min_steps``. Broken: losses that are no finite numbers at the end or in more than 5 % of the steps,
    gradient norms that are none up to the end or 0 throughout, or an end above the start. A loss that
    Trainer logged as 0 beside a gradient norm of NaN counts as NaN. Doubtful: a smoothed loss that fell too
    little, moved up too much, spiked, or a validation loss that rises at the end. Levels are medians, noise
    is 1.4826 × MAD, and a spike is what heavy-tailed noise of that scale does not give
    (:mod:`pytest_sway.statistics.loss_curve`). The loss of a run that maximised a reward is no measure: it is
    skipped unless it broke. raw = smoothness.
    """

    kind, category, claim = "training_drift", "calibration", Claim.PRE_RUN

    async def measure(self, views: Views) -> Measurement:
        """Find the log, choose the run, measure its curve."""
        with probe_errors("store_path"):
            source, version = self._find_source()
            logs = read_logs(source.files)
            read_from = self._read_from(source, logs)
            choice = _choose_run(source, logs, version, self.options.min_steps, read_from)
        run = choice.run
        curve = loss_curve(run.losses, self.options.rolling_window, self.options.spike_sigma)
        evidence = {
            "num_log_files": logs.files,
            "num_unread_lines": logs.unread,
            "run": _run_summary(run),
            "chosen": choice.reason,
            "read_from": read_from,
            "num_runs": len(logs.runs),
            "runs": [_run_summary(other) for other in logs.runs[-_LISTED:]],
            **_curve_evidence(run, curve),
            **_gradient_evidence(run),
            **{name: getattr(self.options, name) for name in _THRESHOLDS},
        }
        return Measurement(raw=curve.smoothness, evidence=evidence)

    def _find_source(self) -> tuple[LogSource, DlmVersion | None]:
        """The logs, and which of their versions the adapter is."""
        adapter, named = self.context.adapter, self.options.store_path is not None
        version = version_of(adapter) if adapter is not None else None
        places = self._log_folders(version)
        for place in places:
            if (source := find_logs(place, adapter, named)) is not None:
                inside = version is not None and place.resolve().is_relative_to(version.store)
                return source, version if inside else None
        place = places[-1]
        raise ProbeSkip(
            nothing_to_read(
                "training log", place, [*other_adapters(place), *unread_logs(place)], READ_LOGS, "store_path"
            )
        )

    def _log_folders(self, version: DlmVersion | None) -> list[Path]:
        """Where the logs may be, in order."""
        if self.options.store_path is not None:
            return [resolve_path(self.options.store_path, self.context.folder, "store_path")]
        if self.context.adapter is None:
            raise ProbeSkip(
                "no adapter is evaluated in this run; set store_path to a training log or its folder"
            )
        return [*([version.store] if version is not None else []), self.context.adapter]

    def _read_from(self, source: LogSource, logs: Logs) -> str:
        """Which file was read; empty for dlm's, which the run's own entry names."""
        return "" if DLM in logs.formats else file_read(source.files[-1], self.context.folder, source.reason)

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The pre-run rule: a run that broke or diverged is primary, its shape secondary."""
        found = measured.evidence
        judgement = judge_pre_run(
            broken_signals(found),
            doubtful_signals(found),
            f"sound: {loss_levels(found)} over {found['num_steps']} logged steps, smoothness"
            f" {found['smoothness']:.2f} ({found['chosen']})",
        )
        if not found["read_from"]:
            return judgement
        return replace(judgement, message=f"{judgement.message} ({found['read_from']})")


_THRESHOLDS = (
    "rolling_window",
    "spike_sigma",
    "assert_smoothness_gte",
    "assert_convergence_ratio_lte",
    "assert_instability_events_lte",
)


def _choose_run(
    source: LogSource, logs: Logs, version: DlmVersion | None, least: int, read_from: str
) -> ChosenRun:
    """The run to judge.

    Raises:
        ProbeSkip: there is none with enough steps, or its loss is no measure.
    """
    try:
        if DLM in logs.formats:
            return select_dlm_run(logs.runs, version, least)
        choice = select_trainer_run(logs, source)
    except TooFewStepsError as error:
        raise ProbeSkip(f"{error} ({read_from})" if read_from else str(error)) from None
    run = choice.run
    if ends_broken(run):
        return choice
    if len(run.steps) < least:
        text = f"only {len(run.steps)} losses were logged in {run.length} steps, but min_steps is {least}"
        raise ProbeSkip(f"{text}; train with a smaller logging_steps to log more losses ({read_from})")
    if run.phase == REWARD_PHASE:
        text = "the run maximised a reward (its log contains reward or completions/…)"
        raise ProbeSkip(f"{text}, so its loss does not measure what was learned ({read_from})")
    return choice


def _run_summary(run: TrainingRun) -> dict[str, Any]:
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


def _curve_evidence(run: TrainingRun, curve: LossCurve) -> dict[str, Any]:
    """What the run's losses are, under the keys of schema 1 and pytest-sway's own."""
    checked = [loss for _, loss in run.validation]
    held_out = validation_trend([loss for loss in checked if math.isfinite(loss)])
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
        "curve_sampled": _sampled_curve(run),
    }


def _gradient_evidence(run: TrainingRun) -> dict[str, Any]:
    """What the gradient norms are, where they were logged."""
    norms = gradient_norms(run)
    return {
        "num_grad_norms": norms.logged,
        "num_nonfinite_grad_norms": norms.non_finite,
        "grad_norm_lost_from": norms.lost_from,
        "grad_norm_broken": norms.broken,
        "grad_norm_ends_lost": norms.ends_lost,
        "grad_norm_many_skipped": norms.many_skipped,
        "grad_norm_all_zero": norms.all_zero,
        "num_losses_logged_as_zero": run.replaced,
        "loss_zero_from": norms.zero_loss_from,
    }


def _sampled_curve(run: TrainingRun) -> list[list[float | None]]:
    """Step and loss of at most 512 steps at even distances, first and last among them."""
    last = len(run.steps) - 1
    count = min(_POINTS, last + 1)
    indices = [round(i * last / (count - 1)) for i in range(count)] if count > 1 else [0]
    return [[run.steps[i], loss if math.isfinite(loss := run.losses[i]) else None] for i in indices]
