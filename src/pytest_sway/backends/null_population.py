"""The null population of a subject: which views, never which numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pytest_sway.backends.base import Form, Subject
from pytest_sway.requests import NullSeed, View

OWN = "yours"
"""The family of adapters that the user brings."""
SIGNS = "signs"
ALIGNMENT_SAMPLES = 4
"""How many nulls of random signs an alignment ratio is taken to: a hint, right within a factor of 1.8."""
FAMILIES_BY_FORM: dict[Form, tuple[str, ...]] = {
    "factors": ("norm_matched", SIGNS, "spectrum_matched", "permuted", "gaussian", OWN),
    "tensors": ("norm_matched", "permuted"),
}
"""The families that can imitate an update of each form."""
_RANKED = ("norm_matched", "gaussian")
"""Families whose nulls are random factors, so that another rank means something."""
_UNSTRUCTURED = (
    "the random (null) adapters imitate the size of each weight change and the scaling of its rows and "
    "columns, but not the other structure that this adapter type has. Random adapters of the same type may "
    "have larger effects, so the comparison with the null adapters may be too easy to pass"
)
_FIXED_SIZE = (
    "gaussian null adapters have the fixed size init_scale, not the size of the evaluated adapter. So a "
    "random adapter as large as the evaluated adapter might pass too"
)


@dataclass(frozen=True, slots=True, repr=False)
class NullPlan:
    """How many random adapters of which family: the parameter of the fixture ``sway_null``.

    Attributes:
        family: how their weights are sampled.
        runs: how many.
        seed_base: first seed.
        init_scale: read by the family ``gaussian``.
        kinds: calibrate these probe kinds, whatever they claim; empty: every kind that declares a null.
        cache: whether what the nulls answer may be kept on disk.
        ranks: factors on the rank, for the rank profile; 1 is the population that decides.
        adapters: folders, for the family ``yours``.
        first: how many are measured at first, and the rest of ``runs`` only where it could change the
            verdict; None: all of them.
    """

    family: str
    runs: int
    seed_base: int
    init_scale: float
    kinds: tuple[str, ...] = ()
    cache: bool = True
    ranks: tuple[float, ...] = (1.0,)
    adapters: tuple[str, ...] = ()
    first: int | None = None

    def __repr__(self) -> str:
        return f"{self.runs} {self.family}"

    @property
    def first_runs(self) -> int:
        """How many are measured at first."""
        return self.runs if self.first is None else min(self.first, self.runs)


@dataclass(frozen=True)
class NullPopulation:
    """The null views that every probe of a suite shares; empty where the suite has no null.

    Attributes:
        views: the nulls.
        plan: what the suite asked for.
        by_rank: nulls at other ranks than the subject's, by the factor on the rank.
        alignment_views: nulls of the family ``signs``, to which an effect's ratio is its alignment ratio.
        reason: why there are none.
        notes: what is done otherwise than the plan may expect.
    """

    views: tuple[View, ...] = ()
    plan: NullPlan | None = None
    by_rank: dict[float, tuple[View, ...]] = field(default_factory=dict)
    alignment_views: tuple[View, ...] = ()
    reason: str = "no null_adapter in this suite"
    notes: tuple[str, ...] = ()


def null_population(
    subject: Subject,
    plan: NullPlan | None,
    sources: Sequence[str] = (),
    families: frozenset[str] | None = None,
) -> NullPopulation:
    """Null views that imitate ``subject``, in the order of their draws.

    A factor s on the rank of random factors multiplies the variance of B·A by s (a sum of s·r products in
    the place of r), so ‖B·A‖ by √s and each factor's deviation by s^¼. That is what a view's scale √s does.

    Args:
        subject: the adapter.
        plan: None where the suite has no ``null_adapter``.
        sources: digests of the user's own adapters, for the family ``yours``.
        families: those that the backend can make; None for all that the subject's form allows.
    """
    if plan is None:
        return NullPopulation()
    if families is not None and plan.family not in families:
        remedy = f"; use family: {' or '.join(sorted(families))}" if families else ""
        return NullPopulation(
            plan=plan, reason=f"this backend does not support {plan.family} null adapters{remedy}"
        )
    possible = tuple(f for f in FAMILIES_BY_FORM[subject.form] if families is None or f in families)
    ranked = plan.family in _RANKED and subject.form == "factors"
    if plan.family not in possible:
        return NullPopulation(
            plan=plan,
            reason=f"family {plan.family!r} needs LoRA factors, but this adapter changes full weight "
            f"tensors; use family: {' or '.join(possible)}",
        )
    own = [source for source in dict.fromkeys(sources) if source != subject.tuned.adapter]
    if sources and len(own) < 2:
        return NullPopulation(
            plan=plan,
            reason="at least 2 different null adapters are needed, but the given ones are copies of each "
            "other or of the evaluated adapter",
        )
    seeds = [
        NullSeed(plan.family, i, plan.seed_base, plan.init_scale, own[i] if own else "")
        for i in range(len(own) or plan.runs)
    ]
    notes = _notes(subject, plan, len(sources) - len(own), ranked=ranked)
    views = tuple(replace(subject.tuned, null=seed) for seed in seeds)
    return NullPopulation(
        views,
        plan,
        by_rank={
            s: tuple(view.scaled(math.sqrt(s)) for view in views) for s in plan.ranks if ranked and s != 1.0
        },
        alignment_views=_alignment_views(subject, plan) if SIGNS in possible and plan.family != SIGNS else (),
        reason="",
        notes=notes,
    )


def _notes(subject: Subject, plan: NullPlan, dropped: int, *, ranked: bool) -> tuple[str, ...]:
    notes = []
    if dropped:
        notes.append(
            "null adapters ignored, because they are copies of each other or of the evaluated adapter: "
            f"{dropped}"
        )
    if plan.ranks != (1.0,) and not ranked:
        named = " and ".join(_RANKED)
        notes.append(
            "no rank profile was measured: null adapters can have other ranks only in the families "
            f"{named}, and only if the evaluated adapter is a LoRA adapter"
        )
    if subject.form == "tensors":
        notes.append(_UNSTRUCTURED)
    if plan.family == "gaussian":
        notes.append(_FIXED_SIZE)
    return tuple(notes)


def _alignment_views(subject: Subject, plan: NullPlan) -> tuple[View, ...]:
    seeds = [NullSeed(SIGNS, i, plan.seed_base, plan.init_scale) for i in range(ALIGNMENT_SAMPLES)]
    return tuple(replace(subject.tuned, null=seed) for seed in seeds)
