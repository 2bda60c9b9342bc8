"""Is a result still what it was? Two result files compared number by number, within tolerances.

For a golden file in a repository: mask both, compare, expect no difference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

LOGPROB_TOL = 1e-4
"""Of every number but the scores: another machine's matrix library moved log-probabilities by 1e-5."""
SCORE_TOL = 1e-4
"""Of scores and composites."""

_VARIES = frozenset(
    {"started_at", "finished_at", "wall_seconds", "duration_s", "sway_version", "backend_stats"}
)
"""What differs from run to run, or with the version."""
_PLACES = frozenset({"base_model_id", "adapter_id", "spec_path", "path"})
"""A path alone, or a model's name on a hub."""
_SCORES = frozenset({"score", "overall", "components", "effect_factor", "harm_factor", "composite_of_effects",
                     "nulls_composites"})  # fmt: skip
_PROSE = frozenset({"message", "findings", "reasons", "notes", "warnings", "text"})
"""Sentences for readers, with rounded numbers in them."""
_FOLDERS = re.compile(r"(?<![\w.:/\\~])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\:'\",;]+)+[/\\](?=[^\s/\\:'\",;])")
_DECIMAL = re.compile(r"(?<![\w.])-?\d+(?:\.\d+(?:e[-+]?\d{1,3})?|e[-+]?\d{1,3})(?![\w.]*\w)", re.ASCII)


@dataclass(frozen=True)
class GoldenDifference:
    """One place where two results differ.

    Attributes:
        path: the place, e.g. ``probes[1].raw``.
        what: ``missing``, ``extra``, ``length``, ``type``, ``value``.
        actual: what is there; None where it is missing.
        expected: what was expected; None where it is extra.
    """

    path: str
    what: str
    actual: Any
    expected: Any

    def __str__(self) -> str:
        return f"{self.path}: {self.what}: {self.actual!r}, expected {self.expected!r}"


def mask_variable_fields(payload: Any) -> Any:
    """A copy without what differs from run to run and from machine to machine.

    Times, the version and the backend's statistics go. Of absolute paths the folders go, and the last part
    stays, as do names of models on a hub and ``digests``: a golden is to notice another model.
    """
    if isinstance(payload, Mapping):
        return {
            key: _last_part(value)
            if key in _PLACES and isinstance(value, str)
            else mask_variable_fields(value)
            for key, value in payload.items()
            if key not in _VARIES
        }
    if isinstance(payload, list | tuple):
        return [mask_variable_fields(value) for value in payload]
    return _FOLDERS.sub("", payload) if isinstance(payload, str) else payload


def compare_goldens(
    actual: Any, expected: Any, *, logprob_tol: float = LOGPROB_TOL, score_tol: float = SCORE_TOL
) -> list[GoldenDifference]:
    """Every place where two JSON values differ; none where they are the same within the tolerances.

    Numbers may differ by the tolerance, or from 1 on by that share of the larger; two integers may not
    differ. NaN is like NaN only, an infinity like itself. In sentences for readers (messages, findings,
    reasons, notes) a decimal may also differ by one in its last place: it is rounded, and the number behind
    it is compared as well.

    Args:
        actual: what was written now, masked.
        expected: the golden, masked.
        logprob_tol: of every number but scores.
        score_tol: of scores, categories, the composite.
    """
    return list(_differences(actual, expected, _JsonPath("", "", logprob_tol, score_tol)))


@dataclass(frozen=True)
class _JsonPath:
    path: str
    key: str
    logprob_tol: float
    score_tol: float
    score: bool = False

    def at(self, key: str) -> _JsonPath:
        """Below an object; what is within ``score`` but the weights is one."""
        score = key in _SCORES or (self.score and key not in ("weights", *_PROSE))
        path = f"{self.path}.{key}" if self.path else key
        return _JsonPath(path, key, self.logprob_tol, self.score_tol, score)

    def item(self, index: int) -> _JsonPath:
        """Within a list."""
        return _JsonPath(f"{self.path}[{index}]", self.key, self.logprob_tol, self.score_tol, self.score)

    @property
    def tolerance(self) -> float:
        return self.score_tol if self.score else self.logprob_tol


def _differences(actual: Any, expected: Any, place: _JsonPath) -> Iterator[GoldenDifference]:
    path = place.path or "the result"
    kinds = _kind(actual), _kind(expected)
    if kinds[0] != kinds[1]:
        yield GoldenDifference(path, "type", actual, expected)
    elif kinds[0] == "object":
        yield from _objects(actual, expected, place)
    elif kinds[0] == "list":
        if len(actual) != len(expected):
            yield GoldenDifference(path, "length", len(actual), len(expected))
        for index, (one, other) in enumerate(zip(actual, expected, strict=False)):
            yield from _differences(one, other, place.item(index))
    elif not _is_alike(actual, expected, place):
        yield GoldenDifference(path, "value", actual, expected)


def _objects(
    actual: Mapping[str, Any], expected: Mapping[str, Any], place: _JsonPath
) -> Iterator[GoldenDifference]:
    for key in sorted({*actual, *expected}):
        below = place.at(key)
        if key not in actual:
            yield GoldenDifference(below.path, "missing", None, expected[key])
        elif key not in expected:
            yield GoldenDifference(below.path, "extra", actual[key], None)
        else:
            yield from _differences(actual[key], expected[key], below)


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "object"
    if isinstance(value, list | tuple):
        return "list"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def _is_alike(actual: Any, expected: Any, place: _JsonPath) -> bool:
    if isinstance(actual, str):
        return actual == expected or (
            place.key in _PROSE and _is_same_sentence(actual, expected, place.tolerance)
        )
    if actual == expected or _kind(actual) != "number":
        return bool(actual == expected)
    if isinstance(actual, int) and isinstance(expected, int):
        return False
    return _is_near(actual, expected, place.tolerance)


def _is_near(actual: float, expected: float, tolerance: float) -> bool:
    try:
        if math.isnan(actual) or math.isnan(expected):
            return math.isnan(actual) and math.isnan(expected)
        if math.isinf(actual) or math.isinf(expected):
            return False
        return abs(actual - expected) <= tolerance * max(1.0, abs(actual), abs(expected))
    except OverflowError:  # an integer that no double holds
        return False


def _is_same_sentence(actual: str, expected: str, tolerance: float) -> bool:
    """The same words, and decimals that differ by one in their last place, or by the tolerance, at most."""
    if _DECIMAL.sub("#", actual) != _DECIMAL.sub("#", expected):
        return False
    pairs = zip(_DECIMAL.findall(actual), _DECIMAL.findall(expected), strict=True)
    return all(_is_same_decimal(Decimal(one), Decimal(other), tolerance) for one, other in pairs)


def _is_same_decimal(one: Decimal, other: Decimal, tolerance: float) -> bool:
    places = max(int(one.as_tuple().exponent), int(other.as_tuple().exponent))
    allowed = Decimal(tolerance) * max(Decimal(1), abs(one), abs(other))
    return abs(one - other) <= max(Decimal(1).scaleb(places), allowed)


def _last_part(name: str) -> str:
    """The last part of a path on this machine; a model's name on a hub as it is."""
    is_path = name.startswith((".", "/", "~", "\\")) or name[1:3] in (":\\", ":/")
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] if is_path else name
