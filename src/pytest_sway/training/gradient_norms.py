"""What a run's logged gradient norms, and losses of exactly 0, say of it. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sway.training.training_run import TrainingRun

_FEWEST = 2
"""fp16's loss scaling skips single steps whose gradient overflows, and logs their norm as NaN or infinite."""
_SHARE = 0.05
"""Of the logged steps; so many at the end are more than single steps."""
_SKIPPED = 0.1
"""Of the logged steps; loss scaling that skips more of them has found no scale that fits."""
_LEARNED = 0.01
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
            tell why, after one that was not near 0 or from the start; None where there is none.
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
        return self.lost >= _FEWEST and self.lost > _SHARE * self.logged

    @property
    def ends_lost(self) -> bool:
        """Whether the last gradient norm is NaN or infinite, though too few are to call the run broken."""
        return self.lost > 0 and not self.broken

    @property
    def many_skipped(self) -> bool:
        """Whether more than single steps have no finite gradient norm, and later ones do."""
        return self.lost == 0 and self.non_finite >= _FEWEST and self.non_finite > _SKIPPED * self.logged


def gradient_norms(run: TrainingRun) -> GradientNorms:
    """Look at a run's gradient norms and at losses of exactly 0."""
    pairs = zip(run.steps, run.gradient_norms, strict=False)
    norms = [(step, norm) for step, norm in pairs if norm is not None]
    lost = _trailing([not math.isfinite(norm) for _, norm in norms])
    return GradientNorms(
        logged=len(norms),
        non_finite=sum(not math.isfinite(norm) for _, norm in norms),
        lost_from=norms[-lost][0] if lost else None,
        lost=lost,
        all_zero=bool(norms) and all(norm == 0 for _, norm in norms),
        zero_loss_from=_zero_from(run),
    )


def _zero_from(run: TrainingRun) -> int | None:
    count = _trailing([loss == 0 for loss in run.losses])
    unknown = not run.gradient_norms or all(norm is None for norm in run.gradient_norms[-count:])
    before = run.losses[-count - 1] if count < len(run.losses) else math.inf
    return run.steps[-count] if count and unknown and before > _LEARNED else None


def _trailing(flags: Sequence[bool]) -> int:
    """How many of the last ones are true."""
    return next((i for i, flag in enumerate(reversed(flags)) if not flag), len(flags))
