"""Is a divergence strong enough for its shape to be judged?"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sway.probes.base import Judgement, NoSignal, NullSample
from pytest_sway.result import Measurement, Verdict
from pytest_sway.statistics.prediction import Prediction, display_z
from pytest_sway.statistics.sequential import NullCriterion

SIGNAL_Z = 2.0
"""A shape is judged only where the divergence stands out by this much."""


@dataclass(frozen=True)
class Signal:
    """Whether a divergence is strong enough for its shape to be judged, or within its null altogether.

    ``above_floor``: whether it is large enough, net of the null's mean, whatever its z; so without a floor.
    """

    present: bool
    above_floor: bool
    within_null: bool
    prediction: Prediction | None
    text: str
    null_criteria: tuple[NullCriterion, ...] = ()


def signal(
    measured: Measurement,
    nulls: NullSample | None,
    statistic: str,
    floor: float,
    least_z: float = SIGNAL_Z,
) -> Signal:
    """The named divergence against its floor (net of the null's mean) and against its null.

    A floor of 0 or less asks for anything above 0; at a ``least_z`` of 0 or less the floor alone decides.
    """
    value = measured.statistic(statistic) or 0.0
    prediction = nulls.prediction(measured, statistic) if nulls is not None else None
    net = value - (prediction.mean if prediction is not None else 0.0)
    z = prediction.z if prediction is not None else None
    above = net >= floor if floor > 0 else net > 0
    present = above and (z is None or least_z <= 0 or z >= least_z)
    against = f", z {display_z(z):+.2f}σ" if z is not None else ""
    bound = f"floor {floor:g}" if floor > 0 else "no floor"
    return Signal(
        present,
        above or floor <= 0,
        not above if prediction is None or least_z <= 0 else _within_null(prediction, least_z),
        prediction,
        f"{value:.4g} nats ({bound}{against})",
        () if prediction is None else (NullCriterion(prediction, least_z, (net - max(0.0, floor),)),),
    )


def _within_null(prediction: Prediction, least_z: float) -> bool:
    return prediction.rank > 0 if prediction.z is None else prediction.z < least_z


def require_signal(value: float, floor: float) -> None:
    """End a measurement whose divergence is below its floor already; null adapters only take from it.

    Raises:
        NoSignal: it is; a floor of 0 or less leaves that to the judgement.
    """
    if value < floor:
        raise NoSignal(no_signal(signal(Measurement(raw=value), None, "raw", floor)).message)


def no_signal(found: Signal) -> Judgement:
    """The skip of a shape probe that has nothing to judge."""
    exceeds = "and the effect exceeds random adapters by less than the floor"
    below = "below its floor" if found.prediction is None else exceeds
    reason = "no clear difference from random adapters" if found.above_floor else below
    message = f"effect too weak to judge its shape: {found.text}, {reason}"
    return Judgement(Verdict.SKIP, message, prediction=found.prediction, null_criteria=found.null_criteria)
