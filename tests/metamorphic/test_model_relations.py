"""Full fine-tunes: an adapter merged, a model against itself, and base and fine-tune swapped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.known_adapters.evaluation import Report, probe
from tests.support.merged_models import merge

from .comparing import assert_same_beside_other_nulls, outcome
from .running import run_suite
from .suite import NO_HARM, TOY, entry, quick_suite, with_copies

pytestmark = pytest.mark.nightly
GAINS = ("section_internalization", "preference_flip")
FIRST_TOKEN = "delta_kl of the first token"
KINDS = ("delta_kl", *GAINS, "paraphrase_invariance", *NO_HARM)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """The adapter, the adapter merged, the two models swapped, and the base against a copy of itself."""
    folder = tmp_path_factory.mktemp("models")
    tuned, copy = merge(*TOY, folder / "tuned"), shutil.copytree(TOY.base, folder / "copy")
    pairs = {
        "adapter": ({"base": str(TOY.base)}, {"base": str(TOY.base), "adapter": str(TOY.adapter)}),
        "merged": ({"base": str(TOY.base)}, {"base": str(tuned)}),
        "swapped": ({"base": str(tuned)}, {"base": str(TOY.base)}),
        "itself": ({"base": str(TOY.base)}, {"base": str(copy)}),
    }
    return {name: _evaluated(*pair, folder / name) for name, pair in pairs.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_merged_into_its_base_says_the_same(reports: dict[str, Report], kind: str) -> None:
    """The null of a full fine-tune changes the same tensors, at a rank of its own: z is another."""
    assert_same_beside_other_nulls(outcome(reports["merged"], kind), outcome(reports["adapter"], kind))


def test_swapped_models_have_lost_what_the_other_gained(reports: dict[str, Report]) -> None:
    for kind in GAINS:
        assert probe(reports["swapped"], kind)["verdict"] == "fail", kind
        assert probe(reports["swapped"], kind)["raw"] < 0 < probe(reports["merged"], kind)["raw"], kind


def test_the_loss_on_other_prose_turns_round_with_the_models(reports: dict[str, Report]) -> None:
    there, back = (probe(reports[name], "external_perplexity") for name in ("merged", "swapped"))
    assert back["raw"] == pytest.approx(-there["raw"], rel=1e-4, abs=1e-6)


def test_a_divergence_does_not_ask_which_is_the_base(reports: dict[str, Report]) -> None:
    """Jensen–Shannon is symmetric; further positions follow each base's own continuation."""
    there, back = (probe(reports[name], FIRST_TOKEN) for name in ("merged", "swapped"))
    assert back["raw"] == pytest.approx(there["raw"], rel=1e-4)


def test_a_model_against_itself_has_no_effect_and_does_no_harm(reports: dict[str, Report]) -> None:
    report = reports["itself"]
    assert all(abs(probe(report, kind)["raw"]) < 1e-6 for kind in ("delta_kl", *GAINS))
    assert all(probe(report, kind)["verdict"] == "fail" for kind in ("delta_kl", *GAINS))
    assert all(probe(report, kind)["verdict"] == "pass" for kind in NO_HARM)
    assert report["score"]["overall"] == 0.0


def _evaluated(base: dict[str, str], ft: dict[str, str], folder: Path) -> Report:
    """The quick suite on two models."""
    plain = quick_suite(KINDS)
    whole = with_copies(plain, [{**entry(plain, "delta_kl"), "name": FIRST_TOKEN, "positions": 1}])
    whole["models"] = {"base": {"kind": "hf", **base}, "ft": {"kind": "hf", **ft}}
    whole["defaults"]["differential"] = False
    return run_suite(whole, folder)
