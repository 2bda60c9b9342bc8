"""Two reports of one suite on one adapter by two backends."""

from __future__ import annotations

import pytest

from tests.known_adapters.evaluation import Report, composite, passed

KINDS = ("null_adapter", "delta_kl", "section_internalization", "preference_flip", "leakage")
"""Of the battery: an effect by divergences, two by completions, one by continuations."""


def assert_same_verdicts(expected: Report, found: Report) -> None:
    """Verdicts, composites and every figure agree, within the digits that two engines share."""
    assert passed(found) is passed(expected)
    assert composite(found) == pytest.approx(composite(expected), abs=1e-4)
    for theirs, ours in zip(expected["probes"], found["probes"], strict=True):
        assert (ours["name"], ours["verdict"]) == (theirs["name"], theirs["verdict"])
        figures = {name: theirs[name] for name in ("raw", "score", "z_score") if theirs[name] is not None}
        assert {name: ours[name] for name in figures} == pytest.approx(figures, rel=1e-3, abs=1e-4)
