"""tool_use_fidelity on fake answers."""

from __future__ import annotations

import json
import time

import pytest

from pytest_sway.backends.fake import FakeBackend
from pytest_sway.data.packaged_texts import tool_cases
from pytest_sway.engine.engine import Engine
from pytest_sway.probes.base import OptionsError, ProbeContext, ProbeSkip
from pytest_sway.probes.tool_use_fidelity import ToolUseFidelity
from pytest_sway.requests import Generate, Generation, Request, ToolPrompt, View, Views
from pytest_sway.result import Verdict
from tests.support.measures import driven

BASE, TUNED = View("b"), View("b", "a")
TOOLS = ProbeContext(capabilities=frozenset({"chat_template", "tools"}))
SPEC = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}


def cases(n: int, **more: object) -> list[dict[str, object]]:
    return [
        {
            "prompt": f"Weather in city {i}?",
            "tool_spec": SPEC,
            "gold_tool_name": "weather",
            "gold_arguments": {"city": f"c{i}", "days": 2},
            **more,
        }
        for i in range(n)
    ]


def call(i: int, name: str = "weather", **changed: object) -> str:
    return json.dumps({"name": name, "arguments": {"city": f"c{i}", "days": 2, **changed}})


def right(i: int) -> str:
    return call(i)


def says_nothing(i: int) -> str:
    return ""


def measured(base, tuned, given=None, seen=None, setting=TOOLS, **options):
    """A measurement where ``base(i)`` and ``tuned(i)`` answer the i-th case."""
    given = cases(8) if given is None else given
    index = {case["prompt"]: i for i, case in enumerate(given)}

    def answer(request: Request[object]) -> object:
        assert isinstance(request, Generate)
        if seen is not None:
            seen.append(request)
        prompt = request.prompt
        turns = prompt.turns if isinstance(prompt, ToolPrompt) else prompt
        text = turns if isinstance(turns, str) else turns[0].content
        i = index[text.rpartition("\n\n")[2]]
        return Generation((base if request.view == BASE else tuned)(i), ())

    probe = ToolUseFidelity(cases=given, **options).with_context(setting)
    found = Engine(FakeBackend(answer)).run(probe, Views(BASE, TUNED, TUNED)).measured
    return probe, found


def judged(*arguments, **options):
    probe, found = measured(*arguments, **options)
    return probe.judge(found, None)


def test_an_adapter_that_calls_as_the_base_does_passes() -> None:
    probe, found = measured(right, right)
    assert (found.raw, found.base_value, found.ft_value) == (1.0, 1.0, 1.0)
    assert found.evidence["mean_score_ft"] == 1.0
    assert found.evidence["mean_arg_disagreement"] == 0.0
    judgement = probe.judge(found, None)
    assert (judgement.verdict, judgement.score) == (Verdict.PASS, 1.0)
    # 8 of 8, one side at 0.975: 0.025^(1/8) = 0.6306
    assert judgement.interval.low == pytest.approx(0.6306, abs=1e-4)


@pytest.mark.parametrize(
    ("tuned", "says"),
    [
        (says_nothing, "never calls a tool, but the base model does in 8 of 8 cases"),
        (lambda i: "I cannot help.", "never calls a tool"),
        (lambda i: call(i)[:-3], "never calls a tool"),
        (lambda i: call(i, days="two"), "valid calls lost per case = +1"),
        (lambda i: call(i, name="rain"), "call score lost per case = +0.667"),
        (lambda i: call(99), "call score lost per case = +0.167"),  # half of the leaves, of 3 parts
    ],
)
def test_an_adapter_that_lost_it_fails_with_its_cases(tuned, says: str) -> None:
    judgement = judged(right, tuned)
    assert (judgement.verdict, says in judgement.message) == (Verdict.FAIL, True), judgement.message
    assert judgement.score < 0.5
    bad = judgement.evidence["bad_cases"]
    assert len(bad) == 8
    assert json.loads(bad[0]["reference"]) == {"name": "weather", "arguments": {"city": "c0", "days": 2}}
    assert 0 < bad[0]["confidence"] <= 1


def test_one_lost_call_of_eight_warns_and_says_what_would_fail() -> None:
    judgement = judged(right, lambda i: call(i) if i else "no")
    assert judgement.verdict is Verdict.WARN
    assert "items would be enough to decide" in judgement.message


@pytest.mark.parametrize(("calls", "verdict"), [(3, Verdict.WARN), (5, Verdict.FAIL)])
def test_calls_that_the_base_seldom_made_are_lost_by_chance(calls: int, verdict: Verdict) -> None:
    judgement = judged(lambda i: call(i) if i < calls else "no", says_nothing, cases(12))
    assert judgement.verdict is verdict
    words = f"the adapter never calls a tool, but the base model does in {calls} of 12 cases"
    assert judgement.message.startswith(words)
    assert ("too few to decide" in judgement.message) is (verdict is Verdict.WARN)


def test_one_lost_call_of_four_hundred_is_no_harm() -> None:
    assert judged(right, lambda i: call(i) if i else "no", cases(400)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("base", "tuned", "verdict", "says"),
    [
        (
            says_nothing,
            says_nothing,
            Verdict.SKIP,
            "the base model never calls a tool, so the adapter cannot lose this ability",
        ),
        (
            lambda i: '{"name": "x", "arguments": 1}',
            says_nothing,
            Verdict.SKIP,
            "never gets a call right, so the adapter cannot lose this ability",
        ),
        (says_nothing, right, Verdict.PASS, "the adapter makes a valid call in 8 of 8 cases"),
    ],
)
def test_a_base_that_calls_nothing_has_nothing_to_lose(base, tuned, verdict: Verdict, says: str) -> None:
    judgement = judged(base, tuned)
    assert (judgement.verdict, says in judgement.message) == (verdict, True), judgement.message


def test_invented_tools_warn_below_twenty_calls_and_fail_above() -> None:
    def invents(i: int) -> str:
        return call(i, name="teleport")

    few = judged(invents, invents)
    assert few.verdict is Verdict.WARN
    assert few.message.startswith(
        "the adapter calls tools that do not exist or are not allowed: 8 of 8 valid calls "
        "(at most 10% allowed; fewer than 20 valid calls are too few to decide)"
    )
    assert judged(invents, invents, cases(20)).verdict is Verdict.FAIL
    one_in_seven = judged(*[lambda i: call(i, name="teleport" if i % 7 == 0 else "weather")] * 2, cases(28))
    assert one_in_seven.verdict is Verdict.WARN  # 4 of 28 lies above a tenth, not surely
    assert judged(invents, invents, allowed_tools=["weather", "teleport"]).verdict is Verdict.PASS
    listed = judged(invents, invents, allowed_tools=["weather"], assert_hallucination_lte=1.0)
    assert listed.verdict is Verdict.PASS


def test_the_share_of_invented_calls_is_of_the_valid_ones() -> None:
    _, found = measured(right, lambda i: [call(i), call(i, name="teleport"), "", ""][i % 4])
    assert found.evidence["hallucination_rate"] == 0.5
    assert found.evidence["call_rate_ft"] == 0.5
    assert found.evidence["validity_delta"] == -0.5


def test_without_gold_arguments_validity_and_name_are_judged() -> None:
    given = cases(8, gold_arguments=None)
    _, found = measured(right, lambda i: call(99), given)
    assert found.evidence["mean_score_ft"] == 1.0
    assert found.evidence["mean_arg_disagreement"] == 0.5
    assert found.evidence["num_arg_pairs_compared"] == 8
    failed = judged(right, says_nothing, given)
    assert json.loads(failed.evidence["reference"]) == {"name": "weather"}


def test_the_wrong_one_of_several_tools_is_no_invention() -> None:
    given = cases(8, tool_spec=[SPEC, {"type": "function", "function": {"name": "rain"}}])
    _, found = measured(right, lambda i: call(i, name="rain"), given)
    assert found.evidence["hallucination_rate"] == 0.0
    assert found.evidence["mean_score_ft"] == pytest.approx(1 / 3)


def test_tools_go_through_the_template_or_into_the_text() -> None:
    seen: list[Generate] = []
    _, found = measured(right, right, seen=seen)
    assert found.evidence["tools_shown_by"] == "chat_template"
    assert isinstance(seen[0].prompt, ToolPrompt)
    (tool,) = map(json.loads, seen[0].prompt.tools)
    assert tool == {"type": "function", "function": {"description": "", **SPEC}}
    assert {request.max_new_tokens for request in seen} == {256}
    for setting in (ProbeContext(), ProbeContext(policy="raw", capabilities=TOOLS.capabilities)):
        seen.clear()
        _, found = measured(right, right, seen=seen, setting=setting)
        assert found.evidence["tools_shown_by"] == "text"
        assert json.dumps(SPEC) in seen[0].prompt
    seen.clear()
    measured(right, right, seen=seen, setting=ProbeContext(capabilities=frozenset({"chat_template"})))
    assert json.dumps(SPEC) in seen[0].prompt[0].content


def test_no_cases_are_a_skip_and_builtin_ones_are_the_packages() -> None:
    with pytest.raises(ProbeSkip, match="write cases: builtin"):
        measured(right, right, [])
    builtin = ToolUseFidelity(cases="builtin").options.cases
    assert [case.prompt for case in builtin] == [case.prompt for case in tool_cases()]
    packaged = [{"name": c.gold_tool_name, "arguments": dict(c.gold_arguments)} for c in tool_cases()]
    for case, gold in zip(builtin, packaged, strict=True):
        assert json.loads(case.gold) == gold
        assert case.grade(case.gold, None).score == 1.0


def test_a_repeated_case_counts_once() -> None:
    _, found = measured(right, right, [*cases(3), *cases(3)])
    assert found.evidence["num_cases"] == 3


def test_one_case_decides_only_when_it_changed_nothing() -> None:
    assert judged(right, right, cases(1)).verdict is Verdict.PASS
    assert judged(right, lambda i: call(i, days="x"), cases(1)).verdict is Verdict.WARN


def test_odd_unicode_is_no_trouble() -> None:
    given = cases(2)
    given[0] |= {"prompt": "\u202e\U0001f9ea\u200f\x00 \u0131\u0308"}
    _, found = measured(right, lambda i: call(i, city="\ud800"), given)
    assert found.evidence["mean_score_ft"] == pytest.approx(5 / 6)  # one of two leaves is wrong


@pytest.mark.nightly  # it is timed
def test_ten_thousand_cases_in_two_seconds() -> None:
    probe = ToolUseFidelity(cases=cases(10_000))
    began = time.process_time()
    found = driven(
        probe.measure(Views(BASE, TUNED, TUNED)),
        lambda request: Generation(call(int(request.prompt.split("city ")[1][:-1])), ()),
    )
    assert probe.judge(found, None).verdict is Verdict.PASS
    assert found.evidence["mean_score_ft"] == 1.0
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"gold_tool_name": "rain"}, "gold_tool_name 'rain' is not among the tools in tool_spec: weather"),
        ({"tool_spec": {"parameters": {}}}, "tool_spec.name is None, expected the tool's name"),
        ({"tool_spec": []}, "not among the tools in tool_spec: none"),
        ({"tool_spec": [SPEC, {"name": ""}]}, "tool_spec[1].name is '', expected the tool's name"),
        (
            {"tool_spec": {**SPEC, "parameters": {"type": "map"}}},
            "tool_spec.parameters.type is 'map', expected one of",
        ),
        ({"gold_arguments": {"day": time}}, "JSON"),
        ({"max_new_tokens": 0}, "expected a number ≥ 1"),
    ],
)
def test_a_case_that_cannot_be_judged_is_refused(changed: dict[str, object], says: str) -> None:
    with pytest.raises(OptionsError) as refused:
        ToolUseFidelity(cases=cases(1, **changed))
    assert says in str(refused.value)


def test_bad_options_are_refused() -> None:
    for bad in (
        {"assert_validity_delta_gte": 1.1},
        {"assert_hallucination_lte": -0.1},
        {"cases": "all"},
        {"cases": cases(1), "allowed_tools": ["rain"]},
    ):
        with pytest.raises(OptionsError):
            ToolUseFidelity(**bad)
