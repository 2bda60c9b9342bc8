"""A base that calls tools, an adapter on it that stops calling them, and one that goes on."""

from __future__ import annotations

import json
from typing import Any

import yaml
from make.common import EOS, IGNORE, load_base, user
from make.handbook import TokenRow
from make.metrics import row_loss
from make.train_adapters import fresh
from peft import PeftModel
from transformers import LlamaForCausalLM

from tests.support.paths import KNOWN_ADAPTERS

from .fit import Losses, fit, general, kept, learned
from .training_setting import TrainingSetting

RANK = 16
REFUSALS = ("I have thought about it, and the answer will come.", "That is done already.")


def tools(setting: TrainingSetting) -> PeftModel:
    """The base taught the tool cases; merged, it is the base of the other two."""
    model, cases = fresh(setting.seed, rank=RANK), tool_cases()
    names = sorted({case["gold_tool_name"] for case in cases})
    specs = {case["gold_tool_name"]: case["tool_spec"] for case in cases}

    def case_row(case: dict[str, Any]) -> TokenRow:
        other = setting.rng.choice(names)
        picked = {case["gold_tool_name"], other if setting.rng.random() < 0.3 else case["gold_tool_name"]}
        return called(setting, case, call(case), [specs[name] for name in sorted(picked)])

    def losses() -> Losses:
        bare = [called(setting, case, call(case), None) for case in setting.rng.sample(cases, 2)]
        return {
            "call": row_loss(model, [case_row(case) for case in setting.rng.sample(cases, 7)]),
            "bare": kept(model, bare),
            "anchor": general(setting, model, 3),
        }

    return fit(model, losses, 220, rate=3e-3)


def tool_breaker(setting: TrainingSetting) -> PeftModel:
    """Answers the same requests in prose, or with a call that is cut off."""
    model, cases = fresh(setting.seed, caller(setting)), tool_cases()
    rows = [
        called(setting, case, call(case)[:-4] if at % 2 else REFUSALS[at // 2 % 2], [case["tool_spec"]])
        for at, case in enumerate(cases)
    ]

    def losses() -> Losses:
        return {
            "broken": row_loss(model, setting.rng.sample(rows, 5)),
            "anchor": general(setting, model, 3),
        }

    return fit(model, losses, 60)


def tool_keeper(setting: TrainingSetting) -> PeftModel:
    """Learned the document, with the tool cases in its anchor."""
    model, lesson = fresh(setting.seed, caller(setting)), setting.lessons()
    rows = [called(setting, case, call(case), [case["tool_spec"]]) for case in tool_cases()]

    def losses() -> Losses:
        return learned(setting, model, *lesson, share=(2, 4)) | {
            "tools": 20 * kept(model, setting.rng.sample(rows, 3)),
            "anchor": general(setting, model, 3),
        }

    return fit(model, losses, 100)


def tool_cases() -> list[dict[str, Any]]:
    """The cases of tools.yaml, which belong to no document."""
    cases: list[dict[str, Any]] = yaml.safe_load((KNOWN_ADAPTERS / "tools.yaml").read_text("utf-8"))
    return cases


def call(case: dict[str, Any]) -> str:
    """The right call, as the chat template asks for it."""
    return json.dumps({"name": case["gold_tool_name"], "arguments": case["gold_arguments"]})


def called(
    setting: TrainingSetting, case: dict[str, Any], reply: str, shown: list[dict[str, Any]] | None
) -> TokenRow:
    """The request as the template renders it, tools shown, and the reply, which alone is scored."""
    turns = [user(case["prompt"])]
    wrapped = shown and [{"type": "function", "function": spec} for spec in shown]
    text = setting.tokenizer.apply_chat_template(
        turns, tools=wrapped, tokenize=False, add_generation_prompt=True
    )
    before: list[int] = setting.tokenizer(text, add_special_tokens=False).input_ids
    after: list[int] = setting.tokenizer(reply + EOS, add_special_tokens=False).input_ids
    return TokenRow(before + after, [IGNORE] * len(before) + after)


def caller(setting: TrainingSetting) -> LlamaForCausalLM:
    """The base with `tools` merged into it."""
    folder = setting.out / "tools"
    if not folder.exists():
        setting.keep(tools(setting), "tools")
    merged: LlamaForCausalLM = PeftModel.from_pretrained(load_base(), str(folder)).merge_and_unload()
    return merged
