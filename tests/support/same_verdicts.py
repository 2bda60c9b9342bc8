"""Two reports of one suite on one adapter by two backends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.known_adapters.battery import FIRST, spec
from tests.known_adapters.evaluation import Report, composite, evaluate, passed
from tests.support.paths import QUICKSTART

KINDS = ("null_adapter", "delta_kl", "section_internalization", "preference_flip", "leakage")
"""Of the battery: an effect by divergences, two by completions, one by continuations."""

ADAPTERS = {name: QUICKSTART / "adapters" / name for name in ("healthy", "random", "inert")}


def reports_of(kind: str, folder: Path, *, profile: str, of: Sequence[str] = KINDS) -> dict[str, Report]:
    """Reports of the quickstart's adapters on a part of the battery, by the backend of a kind.

    Args:
        kind: of both models.
        folder: what is written into it stays.
        profile: of the spec.
        of: kinds of probes.
    """
    whole: dict[str, Any] = spec(FIRST, QUICKSTART / "base", runs=8, profile=profile)
    for side in whole["models"].values():
        side["kind"] = kind
    whole["suite"] = [entry for entry in whole["suite"] if entry["kind"] in of]
    return evaluate(whole, ADAPTERS, folder)


def assert_same_verdicts(expected: Report, found: Report) -> None:
    """Verdicts, composites and every figure agree, within the digits that two engines share."""
    assert passed(found) is passed(expected)
    assert composite(found) == pytest.approx(composite(expected), abs=1e-4)
    for theirs, ours in zip(expected["probes"], found["probes"], strict=True):
        assert (ours["name"], ours["verdict"]) == (theirs["name"], theirs["verdict"])
        figures = {name: theirs[name] for name in ("raw", "score", "z_score") if theirs[name] is not None}
        assert {name: ours[name] for name in figures} == pytest.approx(figures, rel=1e-3, abs=1e-4)
