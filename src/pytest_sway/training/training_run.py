"""One run of a trainer, as its log records it. Standard library only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_sway.training.json_files import finite_or_nan, whole_number

REWARD_PHASE = "reward"
"""A run that maximised a reward (GRPO, RLOO, PPO): its loss is no measure of what was learned."""


@dataclass(frozen=True)
class TrainingRun:
    """One run of a trainer.

    Attributes:
        file: name of its log.
        run_id: the trainer's number of it.
        phase: ``sft``, or the preference method (``dpo``, ``orpo``), in dlm logs; ``preference``, ``reward``
            or empty (not known) in other logs.
        steps: numbers of the logged steps, rising.
        losses: one per step, in nats; NaN where it was no finite number.
        validation: step and validation loss, where one was logged.
        adapter_version: what it made; None for a run that did not finish.
        reference: the version that a preference phase went on from.
        length: optimizer steps, logged or not.
        gradient_norms: one per step, NaN where it was no finite number, None where none was logged; empty
            for a log that has none.
        replaced: how many losses were logged as 0 in place of NaN: 0 beside a gradient norm of NaN. They are
            NaN in ``losses``.
    """

    file: str
    run_id: int | None = None
    phase: str = "sft"
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    validation: tuple[tuple[int, float], ...] = ()
    adapter_version: int | None = None
    reference: int | None = None
    length: int = 0
    gradient_norms: tuple[float | None, ...] = ()
    replaced: int = 0

    def until(self, step: int) -> TrainingRun:
        """What was logged up to a step."""
        kept = bisect_left(self.steps, step + 1)
        return replace(
            self,
            steps=self.steps[:kept],
            losses=self.losses[:kept],
            validation=tuple(pair for pair in self.validation if pair[0] <= step),
            gradient_norms=self.gradient_norms[:kept],
            length=min(self.length, step),
        )


@dataclass
class RunBuilder:
    """A run that is being read."""

    start: TrainingRun
    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    norms: dict[int, float | None] = field(default_factory=dict)
    end: Mapping[str, Any] = field(default_factory=dict)

    def add(self, step: int, record: Mapping[str, Any]) -> None:
        """One step; a repeated number replaces what was logged from it on."""
        kept = bisect_left(self.steps, step)
        self.validation = [pair for pair in self.validation if pair[0] <= step]
        if "loss" in record:
            del self.steps[kept:], self.losses[kept:]
            self.steps.append(step)
            self.losses.append(finite_or_nan(record["loss"]))
        if record.get("val_loss") is not None:
            self.validation = [
                *(p for p in self.validation if p[0] < step),
                (step, finite_or_nan(record["val_loss"])),
            ]

    def starts_again(self, step: int) -> bool:
        """Whether this step number begins another run: it is not beyond the first of several."""
        return len(self.steps) > 1 and step <= self.steps[0]

    def build(self) -> TrainingRun:
        """The run, once its log has been read."""
        last = self.steps[-1] if self.steps else 0
        norms = [self.norms.get(step) for step in self.steps]
        return replace(
            self.start,
            steps=tuple(self.steps),
            losses=tuple(self.losses),
            validation=tuple(self.validation),
            adapter_version=whole_number(self.end.get("adapter_version")),
            length=whole_number(self.end.get("steps")) or last,
            gradient_norms=tuple(norms) if any(norm is not None for norm in norms) else (),
        )
