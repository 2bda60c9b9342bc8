"""The null population of a subject: which views, never which numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pytest_sway.backends.protocols import Subject
from pytest_sway.requests import NullSeed, View


@dataclass(frozen=True, slots=True)
class NullPlan:
    """How many random adapters of which family: the parameter of the fixture ``sway_null``.

    ``kinds`` limits calibration to these probe kinds; empty means every probe that has a null. ``cache``:
    whether what the nulls answer may be kept on disk.
    """

    family: str
    runs: int
    seed_base: int
    init_scale: float
    kinds: tuple[str, ...] = ()
    cache: bool = True

    def __str__(self) -> str:
        return f"{self.runs} {self.family}"


@dataclass(frozen=True)
class Population:
    """The null views that every probe of a suite shares; empty where the suite has no null.

    ``reason`` says why it is empty although one was planned.
    """

    views: tuple[View, ...] = ()
    plan: NullPlan | None = None
    reason: str = ""

    def for_kind(self, kind: str) -> tuple[View, ...]:
        """The views that a probe of this kind is calibrated on."""
        wanted = self.plan is not None and (not self.plan.kinds or kind in self.plan.kinds)
        return self.views if wanted or kind == "null_adapter" else ()


def population(subject: Subject, plan: NullPlan | None) -> Population:
    """Null views that imitate ``subject``, in the order of their draws."""
    if plan is None:
        return Population()
    seeds = [NullSeed(plan.family, i, plan.seed_base, plan.init_scale) for i in range(plan.runs)]
    return Population(tuple(replace(subject.tuned, null=seed) for seed in seeds), plan)
