"""The free parts of a saved result, and what a report needs to find in each to be able to show it."""

from __future__ import annotations

from typing import Any

from pytest_sway.result import Verdict

MAYBE = (float, None)
_FIGURES = {"verdict": set(Verdict), "score": MAYBE, "raw": MAYBE}
_ITEMS = {"n": float, "unpaired": float, "mean_delta": float, "ci_95": ([float], None), "of_raw": bool}

NULL = {
    "family": str, "n": float, "mean": MAYBE, "std": MAYBE, "scale": str, "z": MAYBE, "p": MAYBE,
    "rank": float, "ratio": MAYBE, "reason": str, "draws": [MAYBE], "failed": [str],
    "organised": ({"ratio": MAYBE}, None),
}  # fmt: skip
NULL_STATS = {"n": MAYBE}
_EFFECTS = {"level": float, "p": {str: MAYBE}, "holm": [str], "benjamini_hochberg": [str]}
_NULLS = {
    "family": str, "n": float, "passed": float, "at_most": float, "composite_of_effects": float,
    "nulls_composites": [float], "better": float, "level": float,
}  # fmt: skip
CALIBRATION = {
    "effects": (_EFFECTS, None),
    "nulls": (_NULLS, None),
    "not_calibrated": {str: str},
}
BASELINE = {
    "path": str, "adapter_id": str, "finished_at": str,
    "composite": {"then": MAYBE, "now": MAYBE, "delta": MAYBE},
    "probes": [
        {"name": str, "kind": str, "then": (_FIGURES, None), "now": (_FIGURES, None), "score_delta": MAYBE,
         "items": (_ITEMS, None)}
    ],
    "regressions": [{"text": str}], "gated": bool, "notes": [str],
}  # fmt: skip
DETERMINISM = {"notes": [str]}
GATE = {"status": str, "threshold": MAYBE, "reasons": [str]}


def fits(value: Any, shape: Any) -> bool:
    """Whether JSON data has a shape.

    Args:
        value: the data.
        shape: a type (``float`` is any number); a list with the shape of every element; a dict with the shape
            of every key that must be there, or under ``str`` that of all; a set with what it may be; a tuple
            with shapes of which one must fit; None.
    """
    if isinstance(shape, tuple):
        return any(fits(value, one) for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(one, shape[0]) for one in value)
    if isinstance(shape, dict):
        return isinstance(value, dict) and _each_fits(value, shape)
    if isinstance(shape, set):
        return isinstance(value, str) and value in shape
    if shape is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return value is None if shape is None else isinstance(value, shape)


def _each_fits(value: dict[str, Any], shape: dict[Any, Any]) -> bool:
    if str in shape:
        return all(fits(one, shape[str]) for one in value.values())
    return all(key in value and fits(value[key], wanted) for key, wanted in shape.items())
