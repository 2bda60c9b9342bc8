"""Adam's second moments by layer: which layers stand out from the others. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from pytest_sway.training.layer_map import ParameterLocation
from pytest_sway.training.optimizer_state import MomentSummary

_MAD_TO_SD = 1.4826
_SURE = 3.0
"""σ by which a layer must lie below the others, whatever the ratio."""


@dataclass(frozen=True)
class LayerStatus:
    """One layer's second moments against those of the others, in decades.

    Attributes:
        below: how far the log₁₀ of its mean lies below the median over layers; infinite where it is 0.
        spread: 3 × 1.4826 × MAD of that log₁₀ over layers: what healthy training varies by.
    """

    below: float
    spread: float

    def undertrained(self, ratio: float) -> bool:
        """Whether it lies below the median by more than a factor of ``ratio`` and the spread."""
        return self.below > math.log10(ratio) + self.spread

    @property
    def ratio(self) -> float | None:
        """The median layer's mean ÷ this one's; None where that is 0."""
        return 10.0**self.below if math.isfinite(self.below) else None


def layer_statuses(
    places: Sequence[ParameterLocation], moments: Sequence[MomentSummary]
) -> dict[str, LayerStatus]:
    """Compare every layer with the others, by name: the worse of its LoRA factors, each with its like.

    B starts at zero and A's gradient is proportional to B, so the two differ by decades in one layer.
    A parameter without a finite second moment is left out.
    """
    sums: dict[str, dict[str, tuple[float, int]]] = {}
    for place, moment in zip(places, moments, strict=True):
        if place.layer and (moment.dead or math.isfinite(moment.mean)):
            total, size = sums.setdefault(place.part, {}).get(place.layer, (0.0, 0))
            count = moment.size - moment.non_finite
            sums[place.part][place.layer] = (total + (moment.mean * count if count else 0.0), size + count)
    worst: dict[str, LayerStatus] = {}
    for layers in sums.values():
        logs = {
            name: math.log10(total / size) if total else -math.inf for name, (total, size) in layers.items()
        }
        for name, status in _statuses_of_part(logs).items():
            worst[name] = max(worst.get(name, status), status, key=lambda s: s.below - s.spread)
    return worst


def _statuses_of_part(logs: dict[str, float]) -> dict[str, LayerStatus]:
    """Compare each layer with the median of those that got a gradient."""
    alive = [value for value in logs.values() if math.isfinite(value)]
    centre = median(alive) if alive else 0.0
    spread = _SURE * _MAD_TO_SD * median(abs(value - centre) for value in alive) if alive else 0.0
    return {name: LayerStatus(centre - value, spread) for name, value in logs.items()}
