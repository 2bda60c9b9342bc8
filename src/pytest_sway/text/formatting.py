"""How a number is written, on every surface."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

DASH = "—"
_LONG = 1e9
"""From here on the digits before the point are no more read than counted."""


def score(value: float | None) -> str:
    """Two decimals."""
    return DASH if value is None or not math.isfinite(value) else _fixed(value, ".2f")


def raw(value: float | None) -> str:
    """Three decimals with thousands separators; small ones in scientific form, so as not to read 0."""
    if value is None or not math.isfinite(value):
        return DASH
    if value != 0 and abs(value) < 5e-4:
        return f"{value:.1e}"
    return _fixed(value, ",.3f")


def interval(bounds: Sequence[float] | None) -> str:
    """Both ends as :func:`raw` writes them, in brackets."""
    return DASH if bounds is None else f"[{', '.join(map(raw, bounds))}]"


def change(value: float | None, write: Callable[[float | None], str] = score) -> str:
    """A difference with its sign, written as ``write`` does: -0.88, +0.02; 0.00 where it shows as none."""
    text = write(value)
    if value is None or not text.strip("-0.,"):
        return text.lstrip("-")
    return f"+{text}" if value > 0 else text


def z(value: float | None) -> str:
    """Signed, two decimals, with σ; one that was clipped (ours are, at ±10; dlm-sway's are not) carries ≥."""
    if value is None or not math.isfinite(value):
        return DASH
    edge = "≥" if value == 10 else "≤" if value == -10 else ""
    return f"{edge}{_fixed(value, '+,.2f')}σ"


def p_value(value: float) -> str:
    """Two digits; below 1e-23 (10σ) it is pure extrapolation."""
    return "< 1e-23" if value < 1e-23 else f"{value:.2g}"


def ratio(value: float) -> str:
    """9.6×; from 100 on without decimals, small ones so as not to read 0."""
    if abs(value) < 0.1:
        return f"{value:.1g}×"
    return f"{_fixed(value, '.0f' if abs(value) >= 100 else '.1f')}×"


def rough_ratio(value: float) -> str:
    """A ratio that is only known within half: 4×, 0.9×."""
    return f"{_fixed(value, '.1f' if value < 1.5 else '.0f')}×"


def percent(share: float) -> str:
    """A share in whole percent: 5 %."""
    return f"{100 * share:.0f} %"


def duration(seconds: float) -> str:
    """1.23s, 12.3s, 123s."""
    if not math.isfinite(seconds):
        return DASH
    digits = 2 if seconds < 10 else 1 if seconds < 100 else 0
    return f"{_fixed(seconds, f'.{digits}f')}s"


def long_duration(seconds: float) -> str:
    """Of what takes its time: 40 s, 6 min, 2 h 10 min."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 99.5:
        return f"{max(1, round(seconds))} s" if seconds > 0 else "0 s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """Bytes: 12 MB, 1.5 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _fixed(value: float, form: str) -> str:
    """In the given form; in the scientific one where that would be a row of digits."""
    return f"{value:{form}}" if abs(value) < _LONG else f"{value:{'+' if '+' in form else ''}.1e}"
