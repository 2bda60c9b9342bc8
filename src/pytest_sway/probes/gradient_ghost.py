"""gradient_ghost: what the optimizer remembers of the training, before any model is loaded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeOptions, ProbeSkip
from pytest_sway.probes.judging.pre_run import judge_pre_run
from pytest_sway.probes.judging.thresholds import Off, Rate
from pytest_sway.probes.shared.option_paths import resolve_path
from pytest_sway.probes.shared.training_files import file_read, nothing_to_read, probe_errors
from pytest_sway.requests import Views
from pytest_sway.result import Claim, Measurement
from pytest_sway.spec.environment_variables import Expanded
from pytest_sway.text.message_parts import shorten_list
from pytest_sway.training.adapter_weights import WEIGHTS_FILE, key_shapes
from pytest_sway.training.checkpoints import last_checkpoint, other_adapters
from pytest_sway.training.layer_map import NoLayerMapError, ParameterLocation
from pytest_sway.training.layer_statuses import layer_statuses
from pytest_sway.training.optimizer_discovery import OptimizerFile, find_optimizer
from pytest_sway.training.optimizer_state import TrainingState, read_state
from pytest_sway.training.parameter_groups import grouped_locations
from pytest_sway.training.step_counts import OptimizerSteps, optimizer_steps
from pytest_sway.training.unsupported_files import READ_OPTIMIZERS, unread_optimizers

_WORST = 3


class GradientGhostOptions(ProbeOptions):
    """Options of ``gradient_ghost``; without ``adapter_path`` it reads the adapter under evaluation."""

    adapter_path: Expanded | None = Field(default=None, min_length=1)
    min_steps_threshold: Annotated[int, Off(at_most=0)] = 50
    undertrained_layer_ratio: float = Field(default=2.0, gt=1, allow_inf_nan=False)
    layer_failure_frac: Rate = 0.3


class GradientGhost(Probe[GradientGhostOptions]):
    """Was the adapter trained long enough, and did gradients reach all of it?

    Reads ``optimizer.pt`` (transformers' Trainer) or ``training_state.pt`` (dlm), with ``weights_only``:
    nothing in it is executed. An adapter that has neither is given its checkpoint's: that of the same
    weights, else the last one with the same tensors. In order: optimizer steps, of all the adapter's runs
    where a dlm store's logs tell (how many are enough depends on data, batch and rate, so fewer than
    ``min_steps_threshold`` fail only where the spec sets it, and warn by its default; none at all always
    fail); Adam's second moments (Kingma & Ba 2015), or what another optimizer keeps
    instead (:mod:`pytest_sway.training.moment_tensors`), of which none may be NaN and none zero; layers.
    Healthy layers' second moments differ by orders of magnitude, so a layer is undertrained when the log₁₀ of
    its mean lies below the median over layers by more than log₁₀(``undertrained_layer_ratio``) + 3 × 1.4826 ×
    MAD, for LoRA's A and B each on its own, or when it got no gradient at all. The mean is over all values of
    all the layer's A (or B); median and MAD are of the layers that got a gradient. raw = share of such
    layers, None without a layer map; on an early failure, steps.
    """

    kind, category, claim = "gradient_ghost", "calibration", Claim.PRE_RUN
    extra = "hf"

    async def measure(self, views: Views) -> Measurement:
        """Read the state, count steps, compare layers."""
        place = self._adapter_folder()
        with probe_errors("adapter_path"):
            found = find_optimizer(place)
            if found is None:
                raise ProbeSkip(_nothing_found_text(place))
            state = read_state(found.path) if found.kept else _empty_state()
            steps = optimizer_steps(found, state)
            shapes = _tensor_shapes(found, place)
        evidence = {
            **_state_summary(state, found),
            **_step_counts(steps),
            "read_from": "" if found.dlm else file_read(found.path, self.context.folder, found.reason),
            "kept": state.kept,
            "min_steps_threshold": self.options.min_steps_threshold,
            "required_steps": _required_steps(self.options),
        }
        if signal := _primary_signal(state, steps.possible, evidence["required_steps"]):
            return Measurement(raw=float(steps.possible), evidence={**evidence, "primary_signal": signal})
        if not found.kept:
            raise ProbeSkip(f"{steps.possible} steps by {found.path}; {_nothing_found_text(place)}")
        layers, share = _layer_evidence(state, shapes, self.options.undertrained_layer_ratio)
        return Measurement(raw=share, evidence={**evidence, **layers})

    def _adapter_folder(self) -> Path:
        if self.options.adapter_path is not None:
            return resolve_path(self.options.adapter_path, self.context.folder, "adapter_path")
        if self.context.adapter is None:
            raise ProbeSkip("no adapter is evaluated in this run; set adapter_path to an adapter's folder")
        return self.context.adapter

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The pre-run rule: steps and a dead optimizer are primary; single modules and layers secondary."""
        found = measured.evidence
        judgement = _judgement(found, self.options)
        if not found["read_from"]:
            return judgement
        return replace(judgement, message=f"{judgement.message} ({found['read_from']})")


def _judgement(found: Mapping[str, Any], options: GradientGhostOptions) -> Judgement:
    if signal := found.get("primary_signal"):
        return judge_pre_run([_SIGNALS[signal].format(**found)], [], "")
    secondary = [*_few_steps(found, options.min_steps_threshold), *_broken_modules(found)]
    flagged = found["num_layers_undertrained"]
    layers = f"{flagged} of {found['num_layers']} layers undertrained"
    if found["frac_layers_undertrained"] > options.layer_failure_frac:
        worst = ", ".join(layer["name"] for layer in found["worst_layers"][:flagged])
        secondary.append(f"{layers} (more than {options.layer_failure_frac:.0%}): {worst}")
    sound = [f"sound: {_STEPS.format(**found)}"]
    judgement = judge_pre_run([], secondary, "; ".join(sound if found["no_layer_map"] else [*sound, layers]))
    if not found["no_layer_map"]:
        return judgement
    return replace(judgement, message=f"{judgement.message}; layers not judged: {found['no_layer_map']}")


_STEPS = "{steps} steps ({step_source})"
_SIGNALS = {
    "global_step_below_threshold": f"too few steps: {_STEPS}, fewer than the required {{required_steps}}",
    "all_optimizer_state_nan": (
        "every {kept} in the optimizer state is NaN or infinite, because the gradients became NaN or infinite"
    ),
    "no_gradient_ever": "every {kept} in the optimizer state is zero: no gradient ever reached the adapter",
    "learning_rate_zero": "the learning rate was 0, so nothing was learned",
}


def _required_steps(options: GradientGhostOptions) -> int:
    """The fewest steps that do not fail: what the spec sets, else one."""
    return options.min_steps_threshold if "min_steps_threshold" in options.model_fields_set else 1


def _primary_signal(state: TrainingState, steps: int, required: int) -> str:
    """What alone decides, in order; empty where nothing does."""
    moments = state.moments if state.kept else ()
    if steps < required:
        return "global_step_below_threshold"
    if any(m.non_finite for m in moments) and all(m.non_finite == m.size for m in moments):
        return "all_optimizer_state_nan"
    if moments and all(m.dead for m in moments):
        return "no_gradient_ever"
    return "learning_rate_zero" if state.learning_rate == 0 else ""


def _nothing_found_text(place: Path) -> str:
    folder = place if place.is_dir() else place.parent
    last = last_checkpoint(folder)
    unread = [*other_adapters(folder), *unread_optimizers([folder] if last is None else [folder, last])]
    return nothing_to_read("optimizer state", folder, unread, READ_OPTIMIZERS, "adapter_path")


def _empty_state() -> TrainingState:
    """Of an optimizer whose state was not kept: nothing."""
    return TrainingState(None, None, None, None, (), (), "", None, None)


def _tensor_shapes(found: OptimizerFile, place: Path) -> Mapping[str, tuple[int, ...]] | None:
    """The adapter's tensors: of its file beside the state, else of the adapter asked about."""
    files = [found.path.with_name(WEIGHTS_FILE), place / WEIGHTS_FILE]
    return next((key_shapes(file) for file in files if file.is_file()), None)


def _step_counts(steps: OptimizerSteps) -> dict[str, Any]:
    return {
        "global_step": steps.global_step,
        "step_source": steps.source,
        "steps": steps.possible,
        "steps_certain": steps.certain,
        "steps_last_run": steps.last_run,
        "runs": steps.runs,
        "steps_doubt": steps.doubt,
    }


def _few_steps(found: Mapping[str, Any], least: int) -> list[str]:
    if found["steps_certain"] >= least:
        return []
    if found["steps"] < least:
        few = f"perhaps too few steps: {_STEPS.format(**found)}, fewer than {least}"
        return [f"{few}; if fewer steps are enough for your training, set a lower min_steps_threshold"]
    if found["steps_doubt"]:
        return [found["steps_doubt"]]
    certain = f"undecided: only {found['steps_certain']} steps surely trained this adapter"
    possible = f"all {found['runs']} runs together have {found['steps']} steps"
    unknown = "but no log says whether the last run continued from the previous version of the adapter"
    return [f"{certain}; {possible}, {unknown}"]


def _broken_modules(found: Mapping[str, Any]) -> list[str]:
    kinds = {
        f"NaN or infinite {found['kept']}": "nonfinite_modules",
        "no gradient ever reached": "dead_modules",
    }
    return [f"{words}: {shorten_list(found[key])}" for words, key in kinds.items() if found[key]]


def _state_summary(state: TrainingState, found: OptimizerFile) -> dict[str, Any]:
    """The numbers of schema 1 on the whole state."""
    sizes = [(m.size - m.non_finite, m.mean) for m in state.moments if m.size > m.non_finite]
    total = sum(size for size, _ in sizes)
    return {
        "epoch": state.epoch if found.trainer is None else found.trainer.epoch,
        "best_val_loss": state.best_val_loss,
        "use_qlora": state.use_qlora,
        "num_params": len(state.moments),
        "num_nonfinite_exp_avg_sq": sum(m.non_finite > 0 for m in state.moments),
        "global_mean_exp_avg_sq": math.fsum(n * mean for n, mean in sizes) / total if total else None,
    }


def _layer_evidence(
    state: TrainingState, shapes: Mapping[str, tuple[int, ...]] | None, ratio: float
) -> tuple[dict[str, Any], float | None]:
    """Evidence on modules and layers, and the share of undertrained layers; None without a layer map."""
    why, layer_map = "", tuple[ParameterLocation, ...]()
    try:
        layer_map = _layer_map(state, shapes)
    except NoLayerMapError as error:
        why = str(error)
    moments = state.moments if state.kept else ()
    by_layer = layer_statuses(layer_map, moments) if layer_map else {}
    numbers = {place.layer: place.number for place in layer_map if place.layer}
    counts = set(Counter(place.layer for place in layer_map if place.layer).values())
    flagged = sum(status.undertrained(ratio) for status in by_layer.values())
    worst = sorted(by_layer.items(), key=lambda item: item[1].spread - item[1].below)[:_WORST]
    names = [place.name for place in layer_map] or [f"parameter {i}" for i in range(len(moments))]
    named = list(zip(names, moments, strict=False))
    evidence = {
        "no_layer_map": why,
        "num_layers": len(numbers),
        "params_per_layer": counts.pop() if len(counts) == 1 else None,
        "num_layers_undertrained": flagged,
        "frac_layers_undertrained": flagged / len(numbers) if numbers else 0.0,
        "worst_layers": [
            {"layer": numbers[name], "name": name, "ratio": status.ratio} for name, status in worst
        ],
        "nonfinite_modules": [name for name, moment in named if moment.non_finite],
        "dead_modules": [name for name, moment in named if moment.dead],
    }
    return evidence, None if why else flagged / len(numbers)


def _layer_map(
    state: TrainingState, shapes: Mapping[str, tuple[int, ...]] | None
) -> tuple[ParameterLocation, ...]:
    """Where each of the optimizer's parameters stands in the model."""
    if not state.adam:
        raise NoLayerMapError("the optimizer keeps no second moment per parameter (exp_avg_sq)")
    if shapes is None:
        raise NoLayerMapError(f"there is no {WEIGHTS_FILE}")
    return grouped_locations(shapes, [moment.shape for moment in state.moments], state.group_sizes)
