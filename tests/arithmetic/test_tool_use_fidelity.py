"""tool_use_fidelity: valid calls of base and adapter, and how right they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.arithmetic.formulas import equals
from tests.arithmetic.plain_model import BASE, TUNED, PlainModel
from tests.arithmetic.spec import TOOL_CASES

pytestmark = pytest.mark.nightly

TYPES = {"integer": int, "number": (int, float), "string": str, "boolean": bool}


def grade(text: str, case: dict[str, Any]) -> tuple[float, float]:
    """Whether the first JSON object is a valid call, and the mean of: valid, right name, right arguments."""
    try:
        call, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
    except ValueError:
        return 0.0, 0.0
    tool, arguments = case["tool_spec"], call.get("arguments")
    schema, gold = tool["parameters"], case["gold_arguments"]
    valid = call.get("name") == tool["name"] and isinstance(arguments, dict)
    valid = valid and set(schema["required"]) <= set(arguments)
    for key, value in arguments.items() if valid else ():
        wanted = schema["properties"].get(key, {})
        valid = valid and isinstance(value, TYPES[wanted["type"]]) and value in wanted.get("enum", [value])
    keys = {*gold, *arguments}
    right = np.mean([gold.get(key) == arguments.get(key) for key in keys])
    return float(valid), float(np.mean([valid, call["name"] == case["gold_tool_name"], right]))


def test_tool_use_fidelity(reported_with_tools: dict[str, Any], plain_tools: PlainModel) -> None:
    graded = {}
    for view in (BASE, TUNED):
        rows = []
        for case in TOOL_CASES:
            tool = {"type": "function", "function": case["tool_spec"]}
            asked = plain_tools.chat(case["prompt"], tools=[tool])
            rows.append(grade(plain_tools.decode(plain_tools.greedy(view, asked, 256)), case))
        graded[view] = np.array(rows)
    found = reported_with_tools["tool_use_fidelity"]
    assert found["raw"] == equals(graded[TUNED][:, 0].mean())
    assert found["evidence"]["json_valid_rate_base"] == equals(graded[BASE][:, 0].mean())
    assert [one["value"] for one in found["samples"]] == equals(graded[TUNED][:, 0].tolist())
    scores = [found["evidence"][f"mean_score_{side}"] for side in ("base", "ft")]
    assert scores == equals([graded[view][:, 1].mean() for view in (BASE, TUNED)])
    assert 0 < found["raw"] < 1
