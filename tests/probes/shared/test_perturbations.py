"""The seven changes of a prefix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.probes.shared.perturbations import PERTURBATIONS, TAIL, perturb

TEXT = (
    "A long beginning stands here, and it is never touched, however long it may be. "
    "The works, which is old, has an additional cellar"
)


@pytest.mark.parametrize(
    ("kind", "prefix", "changed"),
    [
        ("typo", "the old cellar", "the old cellra"),
        ("typo", "the cellar 17", "the cellra 17"),
        ("case_flip", "the old cellar", "the old Cellar"),
        ("case_flip", "The Quay", "The quay"),
        ("drop_punct", 'He said, "no."', "He said no"),
        ("synonym_swap", "an additional cellar", "an extra cellar"),
        ("synonym_swap", "Additional cellar", "Extra cellar"),
        ("clause_reverse", "One. It burns and it smokes", "One. it smokes and It burns"),
        ("clause_reverse", "oil, salt, water", "water, oil, salt"),
        ("prefix_inject", "One. It burns", "One. As it is told, it burns"),
        ("prefix_inject", "it burns.", "As it is told, it burns."),
        ("register_shift", "it burns", "IT BURNS"),
        ("register_shift", "IT BURNS", "it burns"),
    ],
)
def test_each_change(kind, prefix: str, changed: str) -> None:
    assert perturb(prefix, kind) == changed


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        ("typo", "aaa xx of"),
        ("case_flip", "油と塩"),
        ("drop_punct", "no punctuation"),
        ("drop_punct", "..."),
        ("synonym_swap", "Tarn Quay"),
        ("clause_reverse", "one clause"),
        ("clause_reverse", "an end, "),
        ("register_shift", "油と塩 17"),
    ],
)
def test_a_prefix_without_what_it_changes_is_left_out(kind, prefix: str) -> None:
    assert perturb(prefix, kind) is None


@pytest.mark.parametrize("kind", PERTURBATIONS)
def test_a_long_prefix_is_changed_near_its_end_alone(kind) -> None:
    changed = perturb(TEXT, kind)
    assert changed is not None
    assert changed.startswith(TEXT[: len(TEXT) - TAIL])


@given(st.text(max_size=200), st.sampled_from(PERTURBATIONS))
def test_what_is_not_left_out_is_really_changed(prefix: str, kind) -> None:
    changed = perturb(prefix, kind)
    assert changed != prefix
    assert changed is None or (changed.strip() and changed.startswith(prefix[: max(0, len(prefix) - TAIL)]))
