"""A population is values: which views, by family, rank and content; no model takes part."""

from __future__ import annotations

import pytest

from pytest_sway.backends.base import Form, Subject
from pytest_sway.backends.null_population import (
    ALIGNMENT_SAMPLES,
    FAMILIES_BY_FORM,
    OWN,
    NullPlan,
    null_population,
)
from pytest_sway.backends.null_weights import FACTORS, TENSORS
from pytest_sway.requests import View

SUBJECT = Subject(View("b"), View("b", "a"))


def draw_numbers(*views: View) -> list[tuple[str, int]]:
    return [(view.null.family, view.null.draw) for view in views if view.null is not None]


def test_null_views_imitate_the_subject_in_draw_order() -> None:
    found = null_population(SUBJECT, NullPlan("norm_matched", 3, 1000, 0.02))
    assert draw_numbers(*found.views) == [("norm_matched", i) for i in range(3)]
    assert {v.adapter for v in found.views} == {"a"}
    assert draw_numbers(*found.alignment_views) == [("signs", i) for i in range(ALIGNMENT_SAMPLES)]
    assert (found.by_rank, found.reason) == ({}, "")


def test_without_a_plan_there_are_none() -> None:
    found = null_population(SUBJECT, None)
    assert (found.views, found.alignment_views) == ((), ())
    assert found.reason == "no null_adapter in this suite"


def test_signs_need_no_second_population() -> None:
    assert null_population(SUBJECT, NullPlan("signs", 3, 0, 0.02)).alignment_views == ()


def test_other_ranks_are_the_same_draws_scaled() -> None:
    found = null_population(SUBJECT, NullPlan("norm_matched", 2, 0, 0.02, ranks=(0.25, 1.0, 4.0)))
    assert set(found.by_rank) == {0.25, 4.0}
    for factor, views in found.by_rank.items():
        assert [view.scale for view in views] == [factor**0.5] * 2
        assert draw_numbers(*views) == draw_numbers(*found.views)


def test_your_own_nulls_are_known_by_their_content() -> None:
    found = null_population(SUBJECT, NullPlan(OWN, 20, 0, 0.02), ["one", "two", "one", "a"])
    assert [view.null.source for view in found.views if view.null] == ["one", "two"]
    assert len(set(found.views)) == 2
    assert found.notes == (
        "null adapters ignored, because they are copies of each other or of the evaluated adapter: 2",
    )
    alone = null_population(SUBJECT, NullPlan(OWN, 20, 0, 0.02), ["one", "one", "a"])
    assert (alone.views, "copies" in alone.reason) == ((), True)


@pytest.mark.parametrize(("family", "form"), [("permuted", "factors"), ("norm_matched", "tensors")])
def test_a_rank_profile_needs_a_rank(family: str, form: Form) -> None:
    subject = Subject(View("b"), View("b", "a"), form=form)
    found = null_population(subject, NullPlan(family, 3, 0, 0.02, ranks=(1.0, 2.0)))
    assert found.by_rank == {}
    assert any(note.startswith("no rank profile") for note in found.notes)


@pytest.mark.parametrize("family", ["signs", "spectrum_matched", "gaussian", OWN])
def test_a_family_unfit_for_full_tensors_names_those_that_fit(family: str) -> None:
    whole = Subject(View("b"), View("b", "a"), form="tensors")
    found = null_population(whole, NullPlan(family, 3, 0, 0.02), ["one"] if family == OWN else [])
    assert found.views == ()
    assert found.reason.startswith(f"family {family!r} needs LoRA factors, but this adapter")
    assert "use family: norm_matched or permuted" in found.reason


def test_a_backend_may_make_some_families_only() -> None:
    plan = NullPlan("norm_matched", 3, 0, 0.02)
    found = null_population(SUBJECT, plan, (), frozenset({"gaussian"}))
    assert found.views == ()
    assert found.reason == "this backend does not support norm_matched null adapters; use family: gaussian"
    none = null_population(SUBJECT, plan, (), frozenset())
    assert none.reason == "this backend does not support norm_matched null adapters"
    gaussian = null_population(SUBJECT, NullPlan("gaussian", 3, 0, 0.02), (), frozenset({"gaussian"}))
    assert draw_numbers(*gaussian.views) == [("gaussian", i) for i in range(3)]
    assert "a random adapter as large as the evaluated adapter might pass too" in gaussian.notes[0]
    assert gaussian.alignment_views == ()  # nulls of random signs are another family


def test_every_offered_family_can_be_sampled() -> None:
    assert set(FAMILIES_BY_FORM["factors"]) == {*FACTORS, OWN}
    assert set(FAMILIES_BY_FORM["tensors"]) == set(TENSORS)
