"""Signs of broken gradients in a run's log: gradient norms, losses of exactly 0. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.training.training_run import TrainingRun

_FEWEST_LOST = 2
"""fp16's loss scaling skips single steps whose gradient overflows, and logs their norm as NaN or infinite."""
_LOST_SHARE = 0.05
"""Of the logged steps; so many at the end are more than single steps."""
_SKIPPED_SHARE = 0.1
"""Of the logged steps; loss scaling that skips more of them has found no scale that fits."""
_NEAR_ZERO_LOSS = 0.01
"""In nats; a loss that falls from above this to exactly 0 within one logging step is not plain progress."""


@dataclass(frozen=True)
class GradientNorms:
    """The gradient norms of one run.

    Attributes:
        logged: how many steps have one.
        non_finite: how many are NaN or infinite.
        lost_from: the step from which on to the end all are NaN or infinite; None where the last is finite.
        lost: how many those are.
        all_zero: whether every one is 0.
        zero_loss_from: the step from which on to the end the loss is exactly 0, with no gradient norm to
            explain it, after one that was not near 0 or from the start; None where there is none.
    """

    logged: int
    non_finite: int
    lost_from: int | None
    lost: int
    all_zero: bool
    zero_loss_from: int | None

    @property
    def broken(self) -> bool:
        """Whether the gradients are NaN or infinite to the end, and not for a single step."""
        return self.lost >= _FEWEST_LOST and self.lost > _LOST_SHARE * self.logged

    @property
    def ends_lost(self) -> bool:
        """Whether the last gradient norm is NaN or infinite, though too few are to call the run broken."""
        return self.lost > 0 and not self.broken

    @property
    def many_skipped(self) -> bool:
        """Whether more than single steps have no finite gradient norm, and later ones do."""
        return (
            self.lost == 0
            and self.non_finite >= _FEWEST_LOST
            and self.non_finite > _SKIPPED_SHARE * self.logged
        )


def gradient_norms(run: TrainingRun) -> GradientNorms:
    """Look at a run's gradient norms and at losses of exactly 0."""
    pairs = zip(run.steps, run.gradient_norms, strict=False)
    norms = [(step, norm) for step, norm in pairs if norm is not None]
    lost = _count_trailing([not math.isfinite(norm) for _, norm in norms])
    return GradientNorms(
        logged=len(norms),
        non_finite=sum(not math.isfinite(norm) for _, norm in norms),
        lost_from=norms[-lost][0] if lost else None,
        lost=lost,
        all_zero=bool(norms) and all(norm == 0 for _, norm in norms),
        zero_loss_from=_start_of_zeros(run),
    )


def _start_of_zeros(run: TrainingRun) -> int | None:
    count = _count_trailing([loss == 0 for loss in run.losses])
    unknown = not run.gradient_norms or all(norm is None for norm in run.gradient_norms[-count:])
    before = run.losses[-count - 1] if count < len(run.losses) else math.inf
    return run.steps[-count] if count and unknown and before > _NEAR_ZERO_LOSS else None


def _count_trailing(flags: Sequence[bool]) -> int:
    """How many of the last ones are true."""
    return next((i for i, flag in enumerate(reversed(flags)) if not flag), len(flags))
