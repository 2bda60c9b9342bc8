"""The part of JSON Schema that is read, and how far two sets of arguments differ."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.probes.shared.tool_schema import disagreement, fault, json_equal, matches_schema

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer"},
        "unit": {"enum": ["C", "F"]},
        "near": {"type": "array", "items": {"type": "number"}},
        "when": {"type": ["string", "null"]},
        "more": {"type": "object", "properties": {"loud": {"type": "boolean"}}, "required": ["loud"]},
    },
    "required": ["city"],
}


@pytest.mark.parametrize(
    ("given_", "right"),
    [
        ({"city": "Paris"}, True),
        ({"city": "Paris", "days": 2, "unit": "F", "near": [1, 2.5], "when": None}, True),
        ({"city": "Paris", "days": 2.0}, True),
        ({"city": "Paris", "unknown": 1}, True),
        ({"city": "Paris", "more": {"loud": False}}, True),
        ({}, False),
        ({"city": 3}, False),
        ({"city": None}, False),
        ({"city": "Paris", "days": True}, False),
        ({"city": "Paris", "days": 2.5}, False),
        ({"city": "Paris", "days": "2"}, False),
        ({"city": "Paris", "unit": "K"}, False),
        ({"city": "Paris", "near": [1, "2"]}, False),
        ({"city": "Paris", "near": {}}, False),
        ({"city": "Paris", "when": 1}, False),
        ({"city": "Paris", "more": {}}, False),
        ({"city": "Paris", "more": {"loud": 1}}, False),
        ("Paris", False),
    ],
)
def test_fits(given_: object, right: bool) -> None:
    assert matches_schema(given_, SCHEMA) is right


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (SCHEMA, ""),
        ({}, ""),
        ([], r"p is [], expected a JSON schema, e.g. {type: object}"),
        ({"type": "float"}, "p.type is 'float', expected one of string"),
        ({"type": 3}, "p.type is 3"),
        ({"type": ["string", {}]}, "p.type is {}"),
        ({"required": True}, "p.required is True, expected a list"),
        ({"enum": "C"}, "p.enum is 'C', expected a list"),
        ({"properties": ["a"]}, "p.properties is ['a'], expected a mapping"),
        ({"properties": {"a": "string"}}, "p.properties.a is 'string', expected a JSON schema"),
        ({"properties": {"a": {"items": 1}}}, "p.properties.a.items is 1"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_reported(schema: object, says: str) -> None:
    found = fault(schema, "p")
    assert found.startswith(says)
    assert bool(found) is bool(says)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x"}, 0.0),
        ({"a": 1, "b": "x"}, {"a": 1, "b": "y"}, 0.5),
        ({"a": 1}, {"a": 1, "b": 2, "c": 3}, 2 / 3),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, 0.5),
        ({"a": [1, 2]}, {"a": [2, 1]}, 1.0),
        ({"a": None}, {}, 1.0),
        ({"a": {}}, {}, 1.0),
        ({"a": {}}, {"a": {"x": 1}}, 1.0),
        ({"a": True}, {"a": 1}, 1.0),
        ({"a": 1.0}, {"a": 1}, 0.0),
        ({}, {}, 0.0),
    ],
)
def test_disagreement(one, other, share: float) -> None:
    assert disagreement(one, other) == pytest.approx(share)
    assert disagreement(other, one) == pytest.approx(share)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(max_size=2), JSON, max_size=3),
    st.dictionaries(st.text(max_size=2), JSON, max_size=3),
)
@settings(max_examples=50)
def test_no_disagreement_is_equality(one, other) -> None:
    assert disagreement(one, one) == 0.0
    assert 0.0 <= disagreement(one, other) <= 1.0
    assert (disagreement(one, other) == 0.0) is json_equal(one, other)
