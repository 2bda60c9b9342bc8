"""Null samples with given numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_sway.probes.base import NullSample
from pytest_sway.result import Measurement


def null_sample(*values: float, **named: Sequence[float]) -> NullSample:
    """Draws whose raw is each of ``values``, or whose named statistics are ``named``."""
    if not named:
        return NullSample(tuple(Measurement(raw=v) for v in values), "norm_matched")
    rows = [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
    return NullSample(tuple(Measurement(raw=None, statistics=row) for row in rows), "norm_matched")


def signed(*values: float) -> NullSample:
    """Draws of a signed statistic."""
    return replace(null_sample(*values), scale="raw")


EIGHT = (0.0010, 0.0012, 0.0009, 0.0011, 0.0010, 0.0013, 0.0008, 0.0011)
