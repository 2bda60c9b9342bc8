"""From a spec to what its nulls say: who is asked, what the judge sees, what the report holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_sway.items.null_comparison import NullMeasurements, null_comparison
from pytest_sway.probes.delta_kl import DeltaKL
from pytest_sway.result import Measurement
from pytest_sway.statistics.prediction import Scale
from tests.support.fake_models import SPEC
from tests.support.null_samples import EIGHT, null_sample

NULL = "{name: baseline, kind: null_adapter}"


def run(project: pytest.Pytester, null: str = NULL, spec: str = SPEC) -> dict[str, Any]:
    project.makefile(".yaml", sway=spec.replace(NULL, null))
    project.runpytest("sway.yaml", "--sway-json=out.json")
    found: dict[str, Any] = json.loads((project.path / "out.json").read_text())
    return found


def probe(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = [probe for probe in found["probes"] if probe["name"] == name]
    return one


def test_an_effect_tells_where_it_stands(project: pytest.Pytester) -> None:
    found = run(project)
    null = probe(found, "dk")["null"]
    assert (null["family"], null["n"], null["rank"], null["scale"]) == ("norm_matched", 8, 0, "inverse_root")
    assert null["rank_p"] == pytest.approx(1 / 9)
    assert null["ratio"] == pytest.approx(probe(found, "dk")["raw"] / null["mean"])
    assert null["mean"] == pytest.approx(sum(null["draws"]) / 8)
    assert len(null["verdicts"]) == 8
    assert {one["verdict"] for one in null["verdicts"]} == {"fail"}
    assert null["organised"]["n"] == 4
    assert null["organised"]["ratio"] == pytest.approx(null["ratio"], rel=0.3)  # fakes: signs are as small
    assert probe(found, "dk")["not_calibrated"] == ""
    assert found["calibration"]["nulls"]["n"] == 8


def test_a_null_is_judged_against_the_others_alone(project: pytest.Pytester) -> None:
    """A population with one giant: against the others it stands out, against itself it could not."""
    project.makeconftest(
        """
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend

        def answer(request):
            giant = any(view.null is not None and view.null.draw == 7 for view in request.views)
            return fake_models.answer(request) * 5000 if giant else fake_models.answer(request)

        def pytest_sway_backend(config, model):
            return FakeBackend(answer)
        """
    )
    found = run(project)
    verdicts = {one["draw"]: one["verdict"] for one in probe(found, "dk")["null"]["verdicts"]}
    assert verdicts.pop(7) == "pass"
    assert set(verdicts.values()) == {"fail"}
    assert found["calibration"]["nulls"]["passed"] == 1


def test_a_failed_draw_keeps_the_others_numbers(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.requests import RequestError

        def answer(request):
            if any(view.null is not None and view.null.draw == 2 for view in request.views):
                raise RequestError("out of luck")
            return fake_models.answer(request)

        def pytest_sway_backend(config, model):
            return FakeBackend(answer)
        """
    )
    null = probe(run(project), "dk")["null"]
    assert [one["draw"] for one in null["verdicts"]] == [0, 1, *range(3, 8)]
    assert null["failed"] == ["null_2: out of luck"]


def test_the_rank_profile_is_dlm_sways(project: pytest.Pytester) -> None:
    found = run(project, "{name: baseline, kind: null_adapter, rank_multipliers: [0.5, 2.0]}")
    dk = probe(found, "dk")
    profile = dk["evidence"]["z_by_rank"]
    assert list(profile) == ["rank_0.50", "rank_1.00", "rank_2.00"]
    assert profile["rank_1.00"] == dk["z_score"]
    assert profile["rank_0.50"] > profile["rank_1.00"] > profile["rank_2.00"]
    # fake divergences go with the square of the scale, so with the factor on the rank squared
    means = {name: stats["mean"] for name, stats in dk["null"]["by_rank"].items()}
    assert means == pytest.approx({"rank_0.50": dk["null"]["mean"] / 2, "rank_2.00": dk["null"]["mean"] * 2})
    assert found["null_stats_by_rank"]["rank_2.00"]["delta_kl"]["mean"] == means["rank_2.00"]
    assert found["null_stats_by_rank"]["rank_1.00"] == found["null_stats"]
    again = run(project)
    assert probe(again, "dk")["evidence"]["z_by_rank"] == {"rank_1.00": dk["z_score"]}


def test_the_rank_profile_is_shown(project: pytest.Pytester) -> None:
    project.makefile(
        ".yaml",
        sway=SPEC.replace(NULL, "{name: b, kind: null_adapter, rank_multipliers: [0.5]}"),
    )
    project.runpytest("sway.yaml::dk", "sway.yaml::b").stdout.fnmatch_lines(
        ["*rank profile: +4.46σ @ 1x / *σ @ 0.5x"]
    )


def test_only_the_kinds_that_were_asked_for_are_calibrated(project: pytest.Pytester) -> None:
    found = run(project, "{name: baseline, kind: null_adapter, calibrate_kinds: [adapter_ablation]}")
    assert probe(found, "dk")["null"] is None
    assert probe(found, "dk")["z_score"] is None
    assert probe(found, "curve")["null"]["n"] == 4  # they settle a signal of z ≥ 2
    reason = "the kind is not in calibrate_kinds"
    assert found["calibration"]["not_calibrated"]["dk"] == reason


def test_without_a_null_adapter_nothing_is_calibrated(project: pytest.Pytester) -> None:
    found = run(project, "{name: baseline, kind: null_adapter, enabled: false}")
    assert set(found["calibration"]["not_calibrated"].values()) == {"no null_adapter in this suite"}
    assert found["calibration"]["nulls"] is None


CODE_FIRST = """
import pytest
from pytest_sway.probes.base import Judgement, Probe, ProbeOptions
from pytest_sway.requests import Completion, Divergence, Generate, ask
from pytest_sway.result import Claim, Measurement, Verdict

class Options(ProbeOptions):
    pass

class Harm(Probe[Options]):
    kind, category, claim, better = "external_perplexity", "calibration", Claim.NO_HARM, "lower"

    async def measure(self, views):
        (moved,) = await ask([Divergence("one", views.base, views.tuned)])
        return Measurement(raw=moved)

    def judge(self, measured, nulls):
        return Judgement(Verdict.PASS, "", 1.0)

class Written(Probe[Options]):
    '''An effect whose measure is what the tuned view itself writes.'''
    kind, category, claim, scale = "written", "adherence", Claim.EFFECT, "log"

    async def measure(self, views):
        (text,) = await ask([Generate("one", views.tuned, 3)])
        (moved,) = await ask([Divergence(text.text, views.base, views.tuned.scaled(0.5))])
        return Measurement(raw=moved)

    def judge(self, measured, nulls):
        found = nulls.prediction(measured)
        return Judgement(Verdict.PASS, "", 1.0, prediction=found, distinguishable=found.z > 3)
"""


def test_other_claims_are_calibrated_on_request(project: pytest.Pytester) -> None:
    text = SPEC.replace(NULL, "{name: b, kind: null_adapter, calibrate_kinds: [external_perplexity]}")
    project.makefile(".yaml", sway=SPEC, asked=text)
    project.makepyfile(
        CODE_FIRST
        + """
def test_plain(sway):
    result = sway(Harm())
    assert result.null is None
    reason = "no-harm probes have a limit instead; to compare them, add their kinds to calibrate_kinds"
    assert result.not_calibrated == reason

@pytest.mark.sway("asked.yaml")
class TestAsked:
    def test_asked(self, sway):
        result = sway(Harm())
        assert (result.null.scale, result.null.n) == ("raw", 20)
        assert result.z_score < -3  # lower is better, and it is far above its nulls
        assert result.null.rank == 20
        assert result.null.verdicts == ()
"""
    )
    project.runpytest("-k", "plain or asked").assert_outcomes(passed=2)


def test_texts_of_the_tuned_view_are_compared_with_its_nulls(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.requests import Generate, Generation

        def answer(request):
            if isinstance(request, Generate) and not request.view.is_base:
                return Generation(f"by {request.view.label()}", (1, 2, 3))
            asked = getattr(request, "prompt", "")
            if str(asked).startswith("by "):
                assert asked == f"by {request.q.label().partition('@')[0]}"
                assert request.q.scale == 0.5
            return fake_models.answer(request)

        def pytest_sway_backend(config, model):
            return FakeBackend(answer)
        """
    )
    project.makepyfile(
        CODE_FIRST
        + """
def test_written(sway):
    result = sway(Written())
    assert result.null.n == 20 and len(result.null.verdicts) == 20
    assert result.distinguishable
    assert not any(one.distinguishable for one in result.null.verdicts)
"""
    )
    project.runpytest("-k", "written").assert_outcomes(passed=1)


def test_a_dialogue_is_written_by_the_subject_alone(project: pytest.Pytester) -> None:
    project.runpytest("sway.yaml", "--sway-trace=trace.jsonl")
    events = [json.loads(line) for line in (project.path / "trace.jsonl").read_text().splitlines()]
    talk = [event for event in events if event["probe"] == "talk"]
    scored, written = (
        {e["view_id"] for e in talk if (e["op"] == "generate") is own} for own in (False, True)
    )
    assert written == {"ft"}
    assert scored == {"base", "ft", *(f"null_{i}" for i in range(4))}


EDGE_CONFTEST = """
import math
from tests.support import fake_models
from pytest_sway.backends.fake import FakeBackend
from pytest_sway.requests import Divergence

def answer(request):
    if not isinstance(request, Divergence):
        return fake_models.answer(request)
    view = request.q if request.p.is_base else request.p
    if view.null is None:
        return 0.03 * view.scale**2
    return 0.01 * math.exp(0.5 * math.sin(3 * view.null.draw + view.null.seed_base))

def pytest_sway_backend(config, model):
    return FakeBackend(answer)
"""


@pytest.mark.parametrize(("spread", "draws"), [("0.05", 4), ("0.2", 5), ("0.4", 8)])
def test_a_signal_is_given_draws_until_it_is_settled(
    project: pytest.Pytester, spread: str, draws: int
) -> None:
    """The wider the nulls are spread, the more draws it takes."""
    project.makeconftest(EDGE_CONFTEST.replace("0.5", spread).replace("0.03", "0.06"))
    assert probe(run(project), "curve")["null"]["n"] == draws


def test_an_effect_near_the_bar_is_given_all_draws(project: pytest.Pytester) -> None:
    project.makeconftest(EDGE_CONFTEST)
    null = probe(run(project), "dk")["null"]
    assert null["n"] == 20
    assert [one["draw"] for one in null["verdicts"]] == list(range(20))


@pytest.mark.parametrize(
    ("options", "draws"),
    [("runs: 12", 12), ("runs: 5, exact_runs: true", 5), ("runs: 30, exact_runs: true", 30)],
)
def test_runs_is_the_most_draws_and_exact_runs_their_number(
    project: pytest.Pytester, options: str, draws: int
) -> None:
    project.makeconftest(EDGE_CONFTEST)
    found = run(project, f"{{name: baseline, kind: null_adapter, {options}}}")
    assert probe(found, "dk")["null"]["n"] == draws


def test_a_clear_effect_takes_all_draws_where_they_are_exact(project: pytest.Pytester) -> None:
    found = run(project, "{name: baseline, kind: null_adapter, runs: 20, exact_runs: true}")
    assert probe(found, "dk")["null"]["n"] == 20


def test_a_judge_that_does_not_say_what_draws_decide_gets_all(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pytest_sway.probes.base import Judgement
        from pytest_sway.probes.delta_kl import DeltaKL
        from pytest_sway.result import Verdict

        class Mine(DeltaKL):
            def judge(self, measured, nulls):
                return Judgement(Verdict.PASS, "as it is", 1.0)

        def test_it(sway):
            assert sway(Mine(prompts=["one", "two"])).null.n == 20
        """
    )
    project.runpytest("-k", "test_it").assert_outcomes(passed=1, deselected=4)


def test_where_the_first_draws_fail_the_others_stand_in(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.requests import RequestError

        def answer(request):
            if any(view.null is not None and view.null.draw < 7 for view in request.views):
                raise RequestError("out of luck")
            return fake_models.answer(request)

        def pytest_sway_backend(config, model):
            return FakeBackend(answer)
        """
    )
    found = run(project)
    null = probe(found, "dk")["null"]
    assert (null["n"], len(null["failed"])) == (13, 7)
    assert probe(found, "dk")["verdict"] == "pass"


@pytest.mark.parametrize(("scale", "is_told"), [("inverse_root", True), ("raw", False)])
def test_of_a_signed_statistic_there_is_no_ratio_to_random_signs(scale: Scale, is_told: bool) -> None:
    """Its null's mean lies near zero: 0.2 is -7,965 times it, and says nothing."""
    nulls = replace(null_sample(0.001, -0.002, 0.0009, 0.0011), family="signs", scale=scale)
    if is_told:
        nulls = replace(null_sample(*EIGHT), family="signs", scale=scale)
    measured = Measurement(raw=0.2)
    prediction = nulls.prediction(measured)
    assert prediction is not None
    kind = DeltaKL(prompts=["a"])
    found = null_comparison(
        kind, measured, NullMeasurements(nulls, {}, (), tuple(range(len(nulls.samples)))), prediction
    )
    assert (found.alignment_ratio is not None) is is_told
