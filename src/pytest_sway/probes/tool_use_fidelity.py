"""tool_use_fidelity: can the model still call the tools that it could call before?"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from pytest_sway.data.packaged_texts import tool_cases
from pytest_sway.probes.base import Judgement, NullSample, Probe, ProbeContext, ProbeSkip
from pytest_sway.probes.judging.effect import lower_verdict
from pytest_sway.probes.judging.no_harm import LEAST_FOR_A_RATE, LEVEL, Harm, judge_no_harm
from pytest_sway.probes.judging.thresholds import Finite, Margin, Off, Rate, largest_loss
from pytest_sway.probes.shared.bad_cases import BadCase, bad_cases
from pytest_sway.probes.shared.item_options import CaseOptions
from pytest_sway.probes.shared.questions import as_prompt, as_turns, ask_both, policy_name
from pytest_sway.probes.shared.tool_case import Grade, ToolUseCase
from pytest_sway.probes.shared.tool_schema import disagreement
from pytest_sway.requests import Generate, Prompt, ToolPrompt, Turn, Views
from pytest_sway.result import Claim, Measurement, Verdict
from pytest_sway.statistics.intervals import Interval, rate_interval, t_interval

HOW_TO_CALL = 'To call a tool, answer with nothing but one JSON object: {"name": ..., "arguments": {...}}'
"""Said after the tools where no chat template shows them."""
_SHOWN_CASES, _SHOWN_CHARS = 8, 200


class ToolUseOptions(CaseOptions[ToolUseCase]):
    """Options of ``tool_use_fidelity``; ``cases: builtin`` are the twelve that come with the package.

    ``assert_z_gte`` is dlm-sway's and has no effect: no harm has a margin, not a null.
    """

    quick_items: ClassVar = 0

    cases: list[ToolUseCase] = Field(default=[])
    allowed_tools: list[str] | None = None
    assert_validity_delta_gte: Annotated[Margin, Off(at_most=-1)] = Field(default=-0.05, le=1)
    assert_hallucination_lte: Rate = 0.10
    assert_z_gte: Finite = 3.0

    @field_validator("cases", mode="before", json_schema_input_type=list[ToolUseCase] | Literal["builtin"])
    @classmethod
    def _builtin_cases(cls, value: Any) -> Any:
        if value != "builtin":
            return value
        names = ("prompt", "tool_spec", "gold_tool_name", "gold_arguments")
        return [{name: getattr(case, name) for name in names} for case in tool_cases()]

    @model_validator(mode="after")
    def _check_allowed_tools(self) -> ToolUseOptions:
        for case in self.cases:
            if self.allowed_tools is not None and case.gold_tool_name not in self.allowed_tools:
                raise ValueError(
                    f"allowed_tools does not contain {case.gold_tool_name!r}, which is the gold_tool_name "
                    "of a case"
                )
        return self

    @property
    def distinct(self) -> list[ToolUseCase]:
        """Each case once: a repeated one is no further item."""
        return list({case.model_dump_json(): case for case in self.cases}.values())


class ToolUseFidelity(Probe[ToolUseOptions]):
    """Tool calls of base and adapter on the same requests, judged against the right ones.

    Both are shown the tools by the chat template, or in the prompt's text where none shows tools (or the
    policy is ``raw``), and answer greedily. A call is valid when its arguments are an object that fits the
    schema of the tool that it names; a case's score is the mean of: valid, the right name, and, where
    ``gold_arguments`` are given, the share of their leaves that is right. raw = the adapter's rate of valid
    calls. No harm, paired by case: both the loss of valid calls and the loss of score must be within
    -``assert_validity_delta_gte``. An adapter that never calls a tool where the base does in
    k cases fails where that is no chance (2^-k ≤ 0.05, so k ≥ 5; McNemar's exact test), else warns; where the
    base gets nothing right there is nothing to lose: skip, or pass where the adapter calls. The rate of valid
    calls of tools outside ``allowed_tools`` (of tools not shown, without a list) fails where it is surely
    above ``assert_hallucination_lte``, from 20 calls on; a higher rate warns.

    It has no null: a random adapter of its size calls tools as the base does, and that is no standard.
    """

    kind, category, claim = "tool_use_fidelity", "attribution", Claim.NO_HARM
    requires = frozenset({"generate"})

    async def measure(self, views: Views) -> Measurement:
        """One call per case and side."""
        cases = self.options.distinct
        if not cases:
            raise ProbeSkip("there are no cases; list your own under cases, or write cases: builtin")
        prompts = [_tool_prompt(case, self.context) for case in cases]
        budgets = [case.max_new_tokens for case in cases]
        wanted = [Generate(prompt, views.base, most) for prompt, most in zip(prompts, budgets, strict=True)]
        base, tuned = await ask_both(wanted, views)
        triples = list(zip(cases, base, tuned, strict=True))
        allowed = self.options.allowed_tools
        base_grades = [case.grade(answer.text, allowed) for case, answer, _ in triples]
        ft_grades = [case.grade(answer.text, allowed) for case, _, answer in triples]
        examples = [
            {
                "prompt": case.prompt,
                "gold": case.gold,
                "base": before.text[:_SHOWN_CHARS],
                "ft": after.text[:_SHOWN_CHARS],
            }
            for case, before, after in triples[:_SHOWN_CASES]
        ]
        presentation = {
            "tools_shown_by": "chat_template" if _template_shows_tools(self.context) else "text",
            "prompt_policy": policy_name(self.context),
            "per_case": examples,
        }
        measured = _measurement(base_grades, ft_grades, presentation)
        return replace(measured, items=tuple(case.prompt for case in cases))

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The rule of non-inferiority, and what a margin cannot say."""
        base, ft = ([Grade.from_numbers(row) for row in measured.series[side]] for side in ("base", "ft"))
        interval = rate_interval(sum(one.valid for one in ft), len(ft))
        valid = sum(one.valid for one in ft)
        if not any(one.score for one in base):
            what = "calls a tool" if not any(one.called for one in base) else "gets a call right"
            if not valid:
                words = f"the base model never {what}, so the adapter cannot lose this ability"
                return Judgement(Verdict.SKIP, words)
            gained = f"the adapter makes a valid call in {valid} of {len(ft)} cases"
            message = f"the base model never {what}, but {gained}"
            judged = Judgement(Verdict.PASS, message, 1.0, interval)
        else:
            judged = _no_harm(self.options, base, ft, interval)
        judged = _no_hallucination(self.options, ft, judged)
        if judged.verdict is not Verdict.FAIL:
            return judged
        wrong = [
            BadCase(case.prompt, case.gold, 1 - after.score)
            for case, before, after in zip(self.options.distinct, base, ft, strict=True)
            if after.score < before.score or after.outside
        ]
        return replace(judged, evidence=bad_cases(wrong))


def _measurement(base: Sequence[Grade], ft: Sequence[Grade], presentation: dict[str, Any]) -> Measurement:
    """The numbers of schema 1, and pytest-sway's own."""
    before, after = (fmean(one.valid for one in side) for side in (base, ft))
    apart = [
        disagreement(one.arguments, other.arguments)
        for one, other in zip(base, ft, strict=True)
        if one.arguments is not None and other.arguments is not None
    ]
    valid_calls = sum(one.valid for one in ft)
    return Measurement(
        raw=after,
        samples=tuple(float(one.valid) for one in ft),
        base_value=before,
        ft_value=after,
        series={"base": [one.to_numbers() for one in base], "ft": [one.to_numbers() for one in ft]},
        evidence={
            "json_valid_rate_base": before,
            "json_valid_rate_ft": after,
            "validity_delta": after - before,
            "mean_arg_disagreement": fmean(apart) if apart else None,
            "num_arg_pairs_compared": len(apart),
            "hallucination_rate": sum(one.outside for one in ft) / valid_calls if valid_calls else 0.0,
            "num_cases": len(ft),
            "call_rate_base": fmean(one.called for one in base),
            "call_rate_ft": fmean(one.called for one in ft),
            "mean_score_base": fmean(one.score for one in base),
            "mean_score_ft": fmean(one.score for one in ft),
            **presentation,
        },
    )


def _no_harm(
    options: ToolUseOptions, base: Sequence[Grade], ft: Sequence[Grade], interval: Interval | None
) -> Judgement:
    pairs = list(zip(base, ft, strict=True))
    lost = {
        "valid calls lost per case": [float(one.valid) - float(other.valid) for one, other in pairs],
        "call score lost per case": [one.score - other.score for one, other in pairs],
    }
    margin = largest_loss(options, "assert_validity_delta_gte")
    harms = [
        Harm(what, fmean(d), t_interval(d, LEVEL), margin, stdev(d) if len(d) > 1 else 0.0)
        for what, d in lost.items()
    ]
    judged = judge_no_harm(harms, untouched=not any(map(any, lost.values())), interval=interval)
    if margin == math.inf or any(one.called for one in ft):
        return judged
    calls = sum(one.called for one in base)
    words = f"the adapter never calls a tool, but the base model does in {calls} of {len(base)} cases"
    # McNemar's exact test of calls that are lost, with none gained
    if judged.verdict is Verdict.FAIL or 0.5**calls <= (1 - LEVEL) / 2:
        return lower_verdict(judged, Verdict.FAIL, words)
    return lower_verdict(judged, Verdict.WARN, f"{words}, which is too few to decide")


def _no_hallucination(options: ToolUseOptions, ft: Sequence[Grade], judged: Judgement) -> Judgement:
    """A rate of calls to tools that are not there: surely too high fails, else too high warns."""
    valid_calls, outside = sum(one.valid for one in ft), sum(one.outside for one in ft)
    limit = options.assert_hallucination_lte
    if not valid_calls or outside / valid_calls <= limit:
        return judged
    bounds = rate_interval(outside, valid_calls, LEVEL)
    sure = valid_calls >= LEAST_FOR_A_RATE and bounds is not None and bounds.low > limit
    too_few = f"; fewer than {LEAST_FOR_A_RATE} valid calls are too few to decide"
    few = "" if valid_calls >= LEAST_FOR_A_RATE else too_few
    count = f"{outside} of {valid_calls} valid calls (at most {limit:.0%} allowed{few})"
    words = f"the adapter calls tools that do not exist or are not allowed: {count}"
    return lower_verdict(judged, Verdict.FAIL if sure else Verdict.WARN, words)


def _template_shows_tools(context: ProbeContext) -> bool:
    return context.is_chat and "tools" in context.capabilities


def _tool_prompt(case: ToolUseCase, context: ProbeContext) -> Prompt:
    """The request with its tools: through the chat template where it shows them, else in the text."""
    before = (Turn("system", case.system),) if case.system else ()
    if _template_shows_tools(context):
        # templates read these keys without asking whether they are there
        bare = {"description": "", "parameters": {"type": "object", "properties": {}}}
        tools = [{"type": "function", "function": bare | function} for function in case.functions]
        return ToolPrompt(as_turns(case.prompt, context, before), tuple(map(json.dumps, tools)))
    listed = "\n".join(json.dumps(function, ensure_ascii=False) for function in case.functions)
    return as_prompt(f"Tools:\n{listed}\n{HOW_TO_CALL}\n\n{case.prompt}", context, before)
