"""Sound specs that together have every field of a spec and every option of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_sway.probes.registry import find, kinds

_TURNS = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello"}]
_PROMPTS = ["The sky is", "2 + 2 =", "Who skates?", "Where is the harbour?"]
_CASE = {"prompt": "Who skates?", "gold": "The pilots.", "paraphrases": ["Who is it that skates?"]}
_SCHEMA = {
    "type": "object",
    "required": ["city"],
    "properties": {
        "city": {"type": "string", "enum": ["Brinmoor"], "minLength": 1, "pattern": "^B"},
        "days": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
        "where": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"$ref": "#/$defs/place"}]},
    },
    "additionalProperties": False,
    "$defs": {"place": {"type": "object"}},
}
_TOOL = {"name": "forecast", "description": "Weather of a place", "parameters": _SCHEMA}
_WRITTEN: dict[str, dict[str, Any]] = {
    "adapter_ablation": {"prompts": _PROMPTS, "top_k": 64, "assert_saturation_between": [0.5, 1.2]},
    "adapter_revert": {"cases": [{**_CASE, "context": _TURNS}]},
    "calibration_drift": {"items": [["Water boils at", "100"], ["Is snow cold?", "Yes"]], "items_limit": 2},
    "cluster_kl": {"prompts": _PROMPTS * 6, "top_k": 64},
    "delta_kl": {"prompts": _PROMPTS, "top_k": 64},
    "gradient_ghost": {"adapter_path": "a"},
    "multi_turn_coherence_decay": {"prompts": _PROMPTS, "top_k": 64},
    "null_adapter": {"calibrate_kinds": ["delta_kl"], "rank_multipliers": [0.5, 1.0]},
    "paraphrase_invariance": {"cases": [{**_CASE, "_mining_meta": {"top_gaps": [0.5], "candidates": 2}}]},
    "preference_flip": {"triples": [{"prompt": "Who?", "chosen": "You.", "rejected": "I."}]},
    "prompt_collapse": {"prompts": _PROMPTS, "top_k": 64},
    "samples": {"cases": [{"prompt": "Who?", "gold": "You.", "context": _TURNS}]},
    "style_fingerprint": {"prompts": _PROMPTS, "doc_reference": "The pilots skate to work."},
    "tool_use_fidelity": {
        "cases": [
            {
                "prompt": "Rain?",
                "system": "Use the tools.",
                "tool_spec": [{"type": "function", "function": _TOOL}, {**_TOOL, "name": "other"}],
                "gold_tool_name": "forecast",
                "gold_arguments": {"city": "Brinmoor", "days": 2},
                "max_new_tokens": 8,
            }
        ],
        "allowed_tools": ["forecast", "other"],
    },
    "training_drift": {"store_path": "a"},
}
"""What an entry needs, and values where an option is open by default."""
SIDES = {
    "base": {"kind": "hf", "base": "./base", "quantization": "nf4"},
    "ft": {
        "kind": "hf",
        "base": "./base",
        "adapter": ["./a", "./adapters/*"],
        "dtype": "bf16",
        "device": "cpu",
        "quantization": "nf4",
        "trust_remote_code": False,
    },
}
_ON_HUB = {"base": "org/base", "revision": "main"}
_SERVED = {
    "kind": "api",
    "base": "org/base",
    "endpoint": "http://127.0.0.1:8000/v1",
    "api_key": "${HOME}",
    "tokenizer": "org/base",
    "null_dir": "./nulls",
    "null_dir_server": "/nulls",
}
_CUSTOM = {"kind": "custom", "base": "m", "entry_point": "module:name"}
_DEFAULTS = {
    "seed": 0,
    "top_k": 256,
    "differential": True,
    "coverage_threshold": 0.6,
    "concurrent_probes": 1,
    "profile": "standard",
    "prompt_policy": "auto",
    "timeout": 60.0,
    "score_weights": {"adherence": 1.0, "attribution": 0.5},
    "chat_template": "./chat.jinja",
    "chat_template_kwargs": {"enable_thinking": False},
    "system_prompt": "Be short.",
}
SECTIONS = [
    {"id": "winter", "kind": "prose", "content": "The harbour freezes every winter.", "tags": ["a", "b"]},
    {
        "id": "questions",
        "kind": "instruction",
        "probes": [{"prompt": "Who?", "gold": "You.", "context": _TURNS}],
    },
    {
        "id": "tastes",
        "kind": "preference",
        "preferences": [{"prompt": "Who?", "chosen": "You.", "rejected": "I.", "context": _TURNS}],
    },
]
CONTROLS = ["Snow is cold.", {"id": "tea", "content": "Tea is warm."}]


def entry(kind: str) -> dict[str, Any]:
    """An entry of that kind with all of its options."""
    found = find(kind)
    assert found is not None
    written = {"name": f"a {kind}", "kind": kind, "timeout": 60.0, **_WRITTEN.get(kind, {})}
    options = found.options_type().model_validate(written)
    return {**options.model_dump(mode="json", exclude_none=True), **written}


def spec(suite: list[Any], **fields: Any) -> dict[str, Any]:
    """A spec of a local adapter, with other fields."""
    return {"version": 1, "models": SIDES, "suite": suite, **fields}


def documents() -> Iterator[dict[str, Any]]:
    """A spec for each kind, and some for what stands beside the suite."""
    suite = [entry("delta_kl"), entry("null_adapter")]
    yield from (spec([entry(kind)]) for kind in kinds())
    yield spec(suite, defaults=_DEFAULTS, sections=SECTIONS, controls=CONTROLS)
    yield spec(suite, sections="sections.yaml", controls="controls.yaml")
    yield spec(suite, sections=[{"prompt": "Who?", "completion": "You."}, {"text": "The pilots skate."}])
    yield spec(suite, dlm_source="harbour.dlm", **{"x-shared": {"any": ["thing"]}})
    yield spec(suite, models={"base": _ON_HUB, "ft": {**_ON_HUB, "adapter": "org/adapter@main"}})
    yield spec(suite, models={"base": _SERVED, "ft": {**_SERVED, "adapter": "served"}})
    yield spec(suite, models={"base": _CUSTOM, "ft": _CUSTOM}, defaults={"differential": False})
    yield spec([{**entry("null_adapter"), "family": "yours", "adapters": ["a", "./adapters/*"]}])
