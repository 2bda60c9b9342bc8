"""A callback for transformers' and TRL's trainers: what a suite says of the adapter, while it is trained."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pytest_sway.atomic_files import ScratchFolder
from pytest_sway.backends.base import BackendError
from pytest_sway.pytest_session import Outcomes, run_quietly
from pytest_sway.requests import Profile
from pytest_sway.result import Claim, SuiteResult, SwayWarning, Verdict
from pytest_sway.session_error import SessionError
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG
from pytest_sway.spec.path_lookup import find_path
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.yaml_source import read_spec
from pytest_sway.trainers.model_in_training import base_alone
from pytest_sway.trainers.served_model import ModelInTraining, weights_digest

_QUICKLY = ("-q", "-W", "ignore", "-p", "no:unraisableexception", "-p", "no:threadexception")
"""pytest's look for exceptions that nobody saw collects garbage, which takes half a second beside torch."""


class SwayCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Evaluates a spec whenever the trainer saves, or every so many steps.

    ``trainer.add_callback(SwayCallback(trainer, "sway.yaml"))``. The model is the one in memory: nothing is
    loaded twice, and the training goes on bit by bit as without it. The numbers are those of ``pytest
    sway.yaml`` on the saved adapter, with the base in the dtype that it is trained in. They go where
    ``report_to`` sends the trainer's own, named ``sway/…``, and into ``results``.

    Args:
        trainer: whose model a :class:`peft.PeftModel` is; sharded models (FSDP, DeepSpeed) are refused.
        spec: path of a ``sway.yaml``; its base must be the one that is trained, its adapter is left aside.
        profile: how much is measured.
        steps: evaluate every so many steps; None: whenever the trainer saves.
        stop_on_harm: end the training when a probe of harm fails.

    An evaluation that cannot be made is a warning, and the training goes on.

    Raises:
        ValueError: the model is none that could be evaluated, or the spec is of another base.

    Attributes:
        results: of every evaluation, with the step that it was made at.
    """

    def __init__(
        self,
        trainer: Trainer,
        spec: str | Path,
        *,
        profile: Profile = "quick",
        steps: int | None = None,
        stop_on_harm: bool = False,
    ) -> None:
        if steps is not None and steps < 1:
            raise ValueError(
                f"steps is {steps}, expected the number of steps between two evaluations, or None"
            )
        self._trainer = trainer
        self._spec = Path(spec).absolute()
        self._profile = profile
        self._steps = steps
        self._stop_on_harm = stop_on_harm
        self._digest = ""
        self.results: list[tuple[int, SuiteResult]] = []
        self._check(_adapted(trainer))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate a copy of the adapter, every ``steps`` steps."""
        if self._steps is None or state.global_step % self._steps or not state.is_world_process_zero:
            return
        with ScratchFolder("sway-adapter-") as folder:
            _adapted(self._trainer).save_pretrained(folder)
            self._evaluate(Path(folder), state, control)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate the checkpoint that was saved."""
        if self._steps is not None or not state.is_world_process_zero:
            return
        folder = Path(args.output_dir or ".") / f"checkpoint-{state.global_step}"
        if (folder / ADAPTER_CONFIG).is_file():
            self._evaluate(folder, state, control)

    def _evaluate(self, adapter: Path, state: TrainerState, control: TrainerControl) -> None:
        """Run the suite on the adapter, log what came out, and end the training where that is asked."""
        try:
            with base_alone(_adapted(self._trainer)) as base:
                self._digest = self._digest or weights_digest(base)
                served = ModelInTraining(base, self._trainer.processing_class, self._digest)
                suite = self._run(adapter, served)
        except (BackendError, SessionError) as error:  # hours of training are worth more than one look at it
            text = f"SwayCallback could not evaluate step {state.global_step}: {error}"
            warnings.warn(text, SwayWarning, stacklevel=2)
            return
        self.results.append((state.global_step, suite))
        # the base class's own: TRL's would empty what it has gathered since its last line
        Trainer.log(self._trainer, dict(_metrics(suite)))
        if self._stop_on_harm and any(_is_harm(probe) for probe in suite.probes):
            control.should_training_stop = True

    def _run(self, adapter: Path, served: ModelInTraining) -> SuiteResult:
        options = [f"--sway-adapter={adapter.absolute()}", f"--sway-profile={self._profile}"]
        return run_quietly(self._spec, [*_QUICKLY, *options], Outcomes(), further=[served])[0]

    def _check(self, model: PeftModel) -> None:
        """Raise ValueError where the base is quantized, or the spec is of another one."""
        if getattr(model.get_base_model().config, "quantization_config", None) is not None:
            raise ValueError(
                "SwayCallback cannot evaluate an adapter on a quantized base model during training; evaluate "
                "the checkpoints with sway rank"
            )
        try:
            source = read_spec(self._spec)
        except SpecError as error:
            raise ValueError(str(error)) from None
        models = source.value.get("models")
        base = models.get("base") if isinstance(models, dict) else None
        named = base.get("base") if isinstance(base, dict) else None
        trained = str(model.get_base_model().config.name_or_path)
        if isinstance(named, str) and trained and not _is_same_model(named, trained, source.roots):
            raise ValueError(
                f"{self._spec.name}: models.base.base is {named}, but the trainer's base model is {trained}; "
                "use the base model of the trainer"
            )


def _adapted(trainer: Trainer) -> PeftModel:
    """The trainer's model.

    Raises:
        ValueError: it is no PEFT model, or it is sharded over processes.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise ValueError("SwayCallback cannot evaluate a model that is sharded by FSDP or DeepSpeed")
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if not isinstance(model, PeftModel):
        raise ValueError(  # noqa: TRY004 - as for every other model that cannot be evaluated
            f"SwayCallback can evaluate only PEFT adapters, but the trainer's model is of type "
            f"{type(model).__name__}"
        )
    return model


def _is_same_model(named: str, trained: str, roots: tuple[Path, Path]) -> bool:
    """Whether a spec's base and the trainer's are one: the same folder, or the same name on the hub."""
    if named == trained:
        return True
    folder, other = find_path(named, roots), Path(trained)
    return folder.exists() and other.exists() and folder.resolve() == other.resolve()


def _is_harm(probe: Any) -> bool:
    return probe.claim is Claim.NO_HARM and probe.verdict is Verdict.FAIL


def _metrics(suite: SuiteResult) -> Iterator[tuple[str, float]]:
    """The numbers of a suite, as trainers log them."""
    yield "sway/composite", suite.score.overall
    yield "sway/gate", float(suite.gate.status == "passed")
    for probe in suite.probes:
        for name, value in (("score", probe.score), ("raw", probe.raw), ("z", probe.z_score)):
            if value is not None:
                yield f"sway/{probe.name}/{name}", float(value)
