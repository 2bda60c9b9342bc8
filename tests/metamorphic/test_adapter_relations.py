"""The same update in other forms, at other strengths, and turned round: what the suite must say of each."""

from __future__ import annotations

import pytest

from tests.known_adapters.battery import EFFECTS
from tests.known_adapters.evaluation import Report, composite, evaluate, passed, probe

from .adapter_variants import opposite, padded, rescaled, scaled
from .comparing import assert_same_beside_other_nulls, outcome
from .suite import MEASURED, NO_HARM, TOY, quick_suite

pytestmark = pytest.mark.nightly
STRENGTHS = (0.0, 0.25, 0.5, 1.5, 2.0)
SAME = ("rescaled", "padded")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """Every form's report, in one session."""
    folder = tmp_path_factory.mktemp("forms")
    forms = {
        "plain": TOY.adapter,
        "rescaled": rescaled(folder / "rescaled"),
        "padded": padded(folder / "padded"),
    }
    forms |= {f"{strength:g}": scaled(folder / f"x{strength:g}", strength) for strength in STRENGTHS}
    forms["opposite"] = opposite(folder / "opposite")
    work = folder / "work"
    work.mkdir()
    return evaluate(quick_suite(), forms, work)


@pytest.mark.parametrize("kind", MEASURED)
@pytest.mark.parametrize("form", SAME)
def test_the_same_update_written_otherwise_says_the_same(
    reports: dict[str, Report], form: str, kind: str
) -> None:
    """Its null adapters are others, so that z is not compared to the last digit."""
    assert_same_beside_other_nulls(outcome(reports[form], kind), outcome(reports["plain"], kind))


@pytest.mark.parametrize("form", SAME)
def test_the_same_update_has_the_same_gate_and_composite(reports: dict[str, Report], form: str) -> None:
    assert composite(reports[form]) == pytest.approx(composite(reports["plain"]), abs=0.02)
    assert passed(reports[form]) is passed(reports["plain"])


def test_the_divergence_grows_with_the_strength(reports: dict[str, Report]) -> None:
    found = [_raw(reports[form], "delta_kl") for form in ("0", "0.25", "0.5", "plain", "1.5", "2")]
    assert found[0] == 0.0
    assert found == sorted(found)


def test_a_strength_of_nothing_has_no_effect_and_does_no_harm(reports: dict[str, Report]) -> None:
    report = reports["0"]
    assert {kind: probe(report, kind)["verdict"] for kind in EFFECTS} == dict.fromkeys(EFFECTS, "fail")
    assert {kind: probe(report, kind)["verdict"] for kind in NO_HARM} == dict.fromkeys(NO_HARM, "pass")
    assert composite(report) == 0.0
    assert not passed(report)


def test_a_weaker_update_learned_no_more(reports: dict[str, Report]) -> None:
    """Up to full strength; beyond it an adapter may break what it learned."""
    for kind in ("section_internalization", "preference_flip"):
        found = [_raw(reports[form], kind) for form in ("0", "0.25", "0.5", "plain")]
        assert found == sorted(found), kind


def test_the_opposite_update_learned_nothing(reports: dict[str, Report]) -> None:
    found = {kind: probe(reports["opposite"], kind)["verdict"] for kind in EFFECTS if kind != "delta_kl"}
    assert set(found.values()) == {"fail"}
    assert not passed(reports["opposite"])


def _raw(report: Report, kind: str) -> float:
    return float(probe(report, kind)["raw"])
