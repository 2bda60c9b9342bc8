"""Specs generated from the JSON schemas of dlm-sway's models: single fields varied, and combinations."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "spec" / "dlm"
SCHEMAS: dict[str, Any] = json.loads((FOLDER / "schemas.json").read_text(encoding="utf-8"))
Location = tuple[str | int, ...]

NEEDED: dict[str, dict[str, Any]] = {
    "adapter_ablation": {"prompts": ["a", "b"]},
    "adapter_revert": {"cases": [{"prompt": "a", "gold": "b", "paraphrases": ["c"]}]},
    "cluster_kl": {"prompts": ["a", "b"]},
    "delta_kl": {"prompts": ["a", "b"]},
    "paraphrase_invariance": {"cases": [{"prompt": "a", "gold": "b", "paraphrases": ["c"]}]},
    "preference_flip": {"triples": [{"prompt": "a", "chosen": "b", "rejected": "c"}]},
    "prompt_collapse": {"prompts": ["a", "b"]},
}
"""What an entry of a kind has beside its name, so that it is right in both tools."""

_NUMBERS = [0, 0.0, -1, 1, 0.5, 2, 1e6, -1e6, 1e-9, -0.05, math.nan, math.inf, -math.inf, "0.5", "-1", True]
_INTEGERS = [0, -1, 1, 2, 3.0, 2.5, 10, 31, 32, 33, 200, 20_000, 10**12, -(10**12), "3", "-3", "3.0", True]
_TEXTS = [
    "",
    " ",
    "a",
    "x" * 300,
    "größe",
    "a: b",
    "no",
    "1e3",
    "$HOME/x",
    "${SWAY_NOT_SET}",
    "${SWAY_NOT_SET:-a}",
]
_TEXTS += ["{{ x }}", "C:\\models", "a\nb", 7, 1.5, True]
_BOOLEANS = [True, False, "yes", "off", "True", "1", 0, 1, 2, "maybe"]
_WRONG = [None, [], {}, "text", ["text"], {"key": 1}]


def base_spec() -> dict[str, Any]:
    """A spec that both tools accept."""
    return {
        "version": 1,
        "models": {
            "base": {"kind": "hf", "base": "m"},
            "ft": {"kind": "hf", "base": "m", "adapter": "adapter"},
        },
        "defaults": {"seed": 0},
        "suite": [{"name": "dk", "kind": "delta_kl", "prompts": ["a", "b"]}],
    }


def full_spec() -> dict[str, Any]:
    """The same for a full fine-tune: another model, and no adapter."""
    spec = base_spec()
    spec["models"]["ft"] = {"kind": "hf", "base": "n"}
    spec["defaults"]["differential"] = False
    return spec


def entry(kind: str) -> dict[str, Any]:
    """An entry that both tools accept."""
    return {"name": kind, "kind": kind, **copy.deepcopy(NEEDED.get(kind, {}))}


def as_yaml(spec: Any) -> str:
    """The spec as a file's text."""
    return str(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False))


def single_variations() -> Iterator[dict[str, Any]]:
    """Every field of every model, one at a time, with every value that its schema suggests."""
    for location, value in _variations(SCHEMAS["spec"], SCHEMAS["spec"].get("$defs", {}), ()):
        yield _with(base_spec(), location, value)
    for location, value in _variations(SCHEMAS["spec"], SCHEMAS["spec"].get("$defs", {}), ()):
        if location[:1] == ("models",):
            yield _with(full_spec(), location, value)
    for kind, schema in SCHEMAS["kinds"].items():
        for location, value in _variations(schema, schema.get("$defs", {}), ()):
            yield {**base_spec(), "suite": [_with(entry(kind), location, value)]}
        yield {**base_spec(), "suite": [entry(kind), entry(kind)]}
        yield {**base_spec(), "suite": [entry(kind), {**entry(kind), "name": "another"}]}
    yield from _by_hand()


def _by_hand() -> Iterator[dict[str, Any]]:
    """What no schema suggests."""
    case = NEEDED["paraphrase_invariance"]["cases"][0]
    triple = {"prompt": "p", "chosen": "c", "rejected": "c"}
    for kind, options in [
        ("paraphrase_invariance", {"cases": [{**case, "paraphrases": [case["prompt"]]}]}),
        ("preference_flip", {"triples": [triple]}),
        ("null_adapter", {"rank_multipliers": [0.5, 0.501]}),
        ("null_adapter", {"rank_multipliers": [1 + i for i in range(12)]}),
    ]:
        yield {**base_spec(), "suite": [{**entry(kind), **options}]}
    base, ft = ({"kind": "hf", "base": "m", "adapter": name} for name in ("./adapter", "adapter"))
    yield {**base_spec(), "models": {"base": base, "ft": ft}}


def texts(specs: Iterable[Any]) -> list[str]:
    """Their YAML, each text once, with texts that no value gives at the end."""
    twice = as_yaml(base_spec()) + "defaults: {seed: 1}\n"
    return list(dict.fromkeys([*map(as_yaml, specs), twice]))


def combinations(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Specs with several entries and two to five fields varied at once; most values are near-valid."""
    chance = random.Random(seed)
    of_spec = list(_variations(SCHEMAS["spec"], SCHEMAS["spec"].get("$defs", {}), ()))
    of_kind = {
        kind: list(_variations(schema, schema.get("$defs", {}), ()))
        for kind, schema in SCHEMAS["kinds"].items()
    }
    for _ in range(count):
        spec = base_spec()
        kinds = chance.sample(sorted(of_kind), chance.randint(1, 4))
        spec["suite"] = [entry(kind) for kind in kinds]
        for index, kind in enumerate(kinds):
            for location, value in chance.sample(of_kind[kind], chance.randint(0, 2)):
                spec["suite"][index] = _with(spec["suite"][index], location, value)
        for location, value in chance.sample(of_spec, chance.choice([0, 0, 1])):
            spec = _with(spec, location, value)
        yield spec


ABSENT = object()
"""Stands for a field that is left out."""


def _variations(schema: Any, definitions: Any, location: Location) -> Iterator[tuple[Location, Any]]:
    """Values for every field of an object's schema."""
    yield (*location, "not_a_field"), 1
    for name, field in schema["properties"].items():
        here = (*location, name)
        yield here, ABSENT
        for value in (*_values(field, definitions), *_WRONG):
            yield here, value
        inner = _object(field, definitions)
        if inner is not None:
            yield from _variations(inner, definitions, here)
        if field.get("type") == "array" and "$ref" in field.get("items", {}):
            yield from _variations(_object(field["items"], definitions), definitions, (*here, 0))


def _object(field: Any, definitions: Any) -> Any:
    reference = field.get("$ref", "").removeprefix("#/$defs/")
    found = definitions.get(reference)
    return found if found is not None and "properties" in found else None


def _values(field: Any, definitions: Any) -> Iterator[Any]:
    """Right values, values at the bounds, and values of a neighbouring type."""
    for option in field.get("anyOf", []):
        yield from _values(option, definitions)
    yield from field.get("enum", [])
    if "const" in field:
        yield field["const"]
    if "default" in field:
        yield field["default"]
    by_type = {"number": _NUMBERS, "integer": _INTEGERS, "string": _TEXTS, "boolean": _BOOLEANS}
    yield from by_type.get(field.get("type", ""), [])
    for bound in ("minimum", "maximum"):
        if bound in field:
            yield from (field[bound] - 1, field[bound], field[bound] + 1)
    if field.get("type") == "array":
        yield from _lists(field, definitions)
    if "additionalProperties" in field and isinstance(field["additionalProperties"], dict):
        for name in ("adherence", "nonsense"):
            yield from ({name: value} for value in _values(field["additionalProperties"], definitions))


def _lists(field: Any, definitions: Any) -> Iterator[Any]:
    if "prefixItems" in field:
        columns = [list(_values(item, definitions)) for item in field["prefixItems"]]
        good = [column[2] for column in columns]
        yield from (good, good[:1], [*good, good[0]], good[::-1])
        for index, column in enumerate(columns):
            yield from ([*good[:index], value, *good[index + 1 :]] for value in column)
        return
    items = field.get("items", {})
    values = list(_values(items, definitions))
    if "$ref" in items:
        values = [_example(_object(items, definitions), definitions)]
    if items.get("type") == "array":
        values = list(_lists(items, definitions))
    good = values[:3]
    yield from (good, good[:1], good + good, good[::-1], [*good, None], [[]])
    yield from ([*good, value] for value in values[3:])
    yield from ([value] for value in values[3:])
    if items.get("type") in ("number", "integer"):
        yield from (
            [1, 2, 3],
            [3, 2, 1],
            [0, 0.5, 1],
            [1, 0.5, 0],
            [0.25, 0.5, 0.5, 1],
            [0, 256, 512],
            [512, 256, 0],
        )


def _example(schema: Any, definitions: Any) -> dict[str, Any]:
    """An object with a text in every field, a list of one where a list is meant."""
    return {
        name: [name] if field.get("type") == "array" else name for name, field in schema["properties"].items()
    }


def _with(tree: dict[str, Any], location: Location, value: Any) -> dict[str, Any]:
    """A copy in which one place holds another value; nothing changes where that place is not there."""
    made = copy.deepcopy(tree)
    at: Any = made
    for part in location[:-1]:
        if isinstance(at, dict):
            at = at.setdefault(part, {})
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
    last = location[-1]
    if isinstance(at, dict):
        if value is ABSENT:
            at.pop(last, None)
        else:
            at[last] = copy.deepcopy(value)
    return made
