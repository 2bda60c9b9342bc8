"""The same adapter under suites that ask the same in another way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.known_adapters.evaluation import Report, evaluate

from .comparing import assert_same, outcome
from .suite import (
    ITEMS,
    MEASURED,
    TOY,
    copied,
    entry,
    halved,
    permuted,
    quick_suite,
    renamed_sections,
    repeated,
    with_copies,
)

pytestmark = pytest.mark.nightly
HALF = ("delta_kl", "section_internalization", "external_perplexity")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The suite as it is."""
    return _evaluated(quick_suite(), tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The suite with copies of its probes: as they are, items in another order, half of them, those twice."""
    whole = quick_suite()
    copies = [copied(entry(whole, kind)) for kind in MEASURED]
    listed = [entry(whole, kind) for kind in ITEMS]
    copies += [make(one) for one in listed for make in (halved, repeated)]
    copies += [permuted(one, seed=2) for one in listed]
    return _evaluated(with_copies(whole, copies), tmp_path_factory.mktemp("changed"))


@pytest.mark.parametrize("kind", MEASURED)
def test_a_probe_under_another_name_says_the_same(plain: Report, changed: Report, kind: str) -> None:
    assert_same(outcome(changed, f"{kind} copied"), outcome(plain, kind))


@pytest.mark.parametrize("kind", MEASURED)
def test_a_probe_beside_many_others_says_the_same(plain: Report, changed: Report, kind: str) -> None:
    assert_same(outcome(changed, kind), outcome(plain, kind))


@pytest.mark.parametrize("kind", ITEMS)
def test_items_in_another_order_say_the_same(plain: Report, changed: Report, kind: str) -> None:
    assert_same(outcome(changed, f"{kind} permuted"), outcome(plain, kind))


@pytest.mark.parametrize("kind", ITEMS)
def test_items_given_twice_make_nothing_surer(changed: Report, kind: str) -> None:
    assert_same(outcome(changed, f"{kind} repeated"), outcome(changed, f"{kind} halved"))


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Some of the suite's probes alone, with other names for the sections."""
    folder = tmp_path_factory.mktemp("half")
    return _evaluated({**quick_suite(HALF), "sections": renamed_sections(folder)}, folder)


@pytest.mark.parametrize("kind", HALF)
def test_a_probe_says_the_same_without_the_others_and_with_other_section_names(
    plain: Report, half: Report, kind: str
) -> None:
    assert_same(outcome(half, kind), outcome(plain, kind))


def _evaluated(whole: dict[str, object], work: Path) -> Report:
    return evaluate(whole, {"healthy": TOY.adapter}, work)["healthy"]
