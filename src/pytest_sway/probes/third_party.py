"""What a third-party kind must be; checked before anything is measured with it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from typing import Any, get_args

from pytest_sway.probes.base import Probe
from pytest_sway.probes.shared import optional_packages
from pytest_sway.result import CATEGORY_WEIGHTS, Claim
from pytest_sway.statistics.prediction import Better, Scale
from pytest_sway.text.message_parts import describe

_CLAIMS = {
    f"Claim.{claim.name}": claim for claim in Claim if claim not in (Claim.BASELINE, Claim.DESCRIPTION)
}
"""What it may claim: the null population and the samples have one kind each, which is built in."""


def probe_class_fault(found: object) -> str:
    """Why something that a plugin gave cannot be a kind, and what to write; empty where it can."""
    if not (isinstance(found, type) and issubclass(found, Probe)):
        return f"{describe(found)} is not a class derived from pytest_sway.probes.base.Probe"
    wrong = next(_faults(found), "")
    return f"{found.__name__}: {wrong}" if wrong else ""


def _faults(probe: type[Probe[Any]]) -> Iterator[str]:
    """What is wrong with a probe class, first things first."""
    kind, claim = getattr(probe, "kind", None), getattr(probe, "claim", None)
    if not (isinstance(kind, str) and kind):
        yield f"the attribute `kind` is {_value_text(kind)}; set it to the name that specs use for this probe"
    yield from _not_among(probe, "category", CATEGORY_WEIGHTS)
    if not (isinstance(claim, Claim) and claim in _CLAIMS.values()):
        yield f"the attribute `claim` is {_value_text(claim)}, but must be one of {', '.join(_CLAIMS)}"
    yield from _not_among(probe, "scale", (None, *get_args(Scale)))
    yield from _not_among(probe, "better", get_args(Better))
    yield from _not_among(probe, "extra", ("", *optional_packages.extras()))
    if not isinstance(probe.requires, (set, frozenset)):
        yield (
            f"the attribute `requires` is {describe(probe.requires)}, but must be a set, e.g. "
            "frozenset({'generate'})"
        )
    if inspect.isabstract(probe):
        yield f"the class does not implement {' and '.join(sorted(probe.__abstractmethods__))}"
    try:
        probe.options_type()
    except TypeError as error:
        yield str(error)


def _not_among(probe: type[Probe[Any]], name: str, allowed: Collection[str | None]) -> Iterator[str]:
    value = getattr(probe, name, None)
    if not (isinstance(value, str) or value is None) or value not in allowed:
        options = ", ".join(map(repr, allowed))
        yield f"the attribute `{name}` is {_value_text(value)}, but must be one of {options}"


def _value_text(value: object) -> str:
    return "missing" if value is None else describe(value)
