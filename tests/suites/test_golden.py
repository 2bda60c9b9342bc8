"""Goldens: what varies is masked, and every other change beyond a tolerance is found."""

from __future__ import annotations

import copy
import inspect
import json
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_sway.suites.golden import (
    LOGPROB_TOL,
    SCORE_TOL,
    GoldenDifference,
    compare_goldens,
    mask_variable_fields,
)
from tests.support.fake_models import SPEC

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
finite = st.floats(-1e6, 1e6)
numbers = st.recursive(
    finite,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4)
        | st.dictionaries(st.sampled_from(["raw", "score", "z", "probes"]), inner, min_size=1, max_size=4)
    ),
    max_leaves=10,
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all numbers."""
    below = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    return [path] if below is None else [leaf for key, one in below for leaf in leaves(one, (*path, key))]


def changed(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    if not path:
        return change(value)
    other = copy.copy(value)
    other[path[0]] = changed(value[path[0]], path[1:], change)
    return other


@settings(max_examples=40)
@given(anything)
def test_everything_is_like_itself(value: Any) -> None:
    assert compare_goldens(value, copy.deepcopy(value)) == []
    masked = mask_variable_fields(value)
    assert compare_goldens(mask_variable_fields(masked), masked, logprob_tol=0.0, score_tol=0.0) == []


@settings(max_examples=40)
@given(numbers, st.data(), st.sampled_from([1e-6, 1e-4, 1e-2]), st.floats(-0.99, 0.99))
def test_a_change_within_the_tolerance_is_none(
    value: Any, data: st.DataObject, tolerance: float, share: float
) -> None:
    path = data.draw(st.sampled_from(leaves(value)))
    other = changed(value, path, lambda x: x + share * tolerance * max(1.0, abs(x)))
    assert compare_goldens(other, value, logprob_tol=tolerance, score_tol=tolerance) == []


@settings(max_examples=40)
@given(anything, anything)
def test_difference_is_mutual(one: Any, other: Any) -> None:
    there = compare_goldens(one, other)
    back = compare_goldens(other, one)
    turned = {"missing": "extra", "extra": "missing"}
    assert [(d.path, turned.get(d.what, d.what)) for d in there] == [(d.path, d.what) for d in back]


@pytest.mark.parametrize(
    ("actual", "expected", "found"),
    [
        ({"a": 1}, {}, [("a", "extra")]),
        ({}, {"a": {"b": 1}}, [("a", "missing")]),
        ({"a": [1, 2]}, {"a": [1]}, [("a", "length")]),
        ({"a": [1, 5]}, {"a": [1, 6, 7]}, [("a", "length"), ("a[1]", "value")]),
        ({"a": True}, {"a": 1}, [("a", "type")]),
        ({"a": None}, {"a": 0.0}, [("a", "type")]),
        ({"a": "x"}, {"a": "y"}, [("a", "value")]),
        ({"n": 1_000_000}, {"n": 1_000_001}, [("n", "value")]),
        ({"a": 40}, {"a": 40.00001}, []),
        ({"a": 40}, {"a": 40.01}, [("a", "value")]),
        ({"a": math.nan}, {"a": math.nan}, []),
        ({"a": math.nan}, {"a": 0.0}, [("a", "value")]),
        ({"a": math.inf}, {"a": math.inf}, []),
        ({"a": math.inf}, {"a": 1e308}, [("a", "value")]),
        ({"a": math.inf}, {"a": -math.inf}, [("a", "value")]),
        ({"a": 10**400}, {"a": 1.0}, [("a", "value")]),
        ([{"p": 1}], {"p": 1}, [("the result", "type")]),
    ],
)
def test_what_a_difference_is(actual: Any, expected: Any, found: list[tuple[str, str]]) -> None:
    assert [(one.path, one.what) for one in compare_goldens(actual, expected)] == found


def test_a_difference_says_where_and_what() -> None:
    (one,) = compare_goldens({"probes": [{"raw": 0.2}]}, {"probes": [{"raw": 0.3}]})
    assert one == GoldenDifference("probes[0].raw", "value", 0.2, 0.3)
    assert str(one) == "probes[0].raw: value: 0.2, expected 0.3"


def test_a_difference_shows_what_only_one_side_has() -> None:
    assert list(compare_goldens({}, {"raw": 0.3})) == [GoldenDifference("raw", "missing", None, 0.3)]
    assert list(compare_goldens({"raw": 0.2}, {})) == [GoldenDifference("raw", "extra", 0.2, None)]
    assert [one.what for one in compare_goldens(0.2, {"raw": 0.2})] == ["type"]


@pytest.mark.parametrize(
    ("place", "is_score"),
    [
        ({"score": 0.5}, True),
        ({"score": {"overall": 0.5}}, True),
        ({"score": {"components": {"adherence": 0.5}}}, True),
        ({"calibration": {"nulls": {"nulls_composites": [0.5]}}}, True),
        ({"probes": [{"score": 0.5}]}, True),
        ({"score": {"weights": {"adherence": 0.5}}}, False),
        ({"probes": [{"raw": 0.5}]}, False),
        ({"probes": [{"z_score": 0.5}]}, False),
        ({"samples": [{"value": 0.5}]}, False),
    ],
)
def test_scores_have_a_tolerance_of_their_own(place: Any, is_score: bool) -> None:
    (path,) = leaves(place)
    other = changed(place, path, lambda x: x + 0.01)
    assert bool(compare_goldens(other, place, logprob_tol=0.1, score_tol=0.0)) is is_score
    assert bool(compare_goldens(other, place, logprob_tol=0.0, score_tol=0.1)) is not is_score


def test_the_defaults_are_those_that_are_documented() -> None:
    parameters = inspect.signature(compare_goldens).parameters
    assert parameters["logprob_tol"].default == LOGPROB_TOL == 1e-4
    assert parameters["score_tol"].default == SCORE_TOL == 1e-4


@pytest.mark.parametrize(
    ("key", "one", "other", "alike"),
    [
        ("message", "0.19 nats above", "0.20 nats above", True),
        ("message", "0.19 nats above", "0.21 nats above", False),
        ("message", "3.998e-06 nats", "8.1e-06 nats", True),  # within 1e-4
        ("message", "12 of 20", "13 of 20", False),
        ("message", "0.19 nats", "0.19 bits", False),
        ("findings", ["z +6.48σ"], ["z +6.49σ"], True),
        ("digest", "0.19", "0.20", False),
        ("message", "version 0.1.0", "version 0.2.0", False),
        ("message", "model 1.5B", "model 1.6B", False),
    ],
)
def test_a_sentence_is_as_exact_as_its_decimals(key: str, one: Any, other: Any, alike: bool) -> None:
    assert (compare_goldens({key: one}, {key: other}) == []) is alike


@pytest.mark.parametrize(
    ("key", "value", "masked"),
    [
        ("base_model_id", "/home/me/models/base", "base"),
        ("base_model_id", "./models/base/", "base"),
        ("base_model_id", "../base", "base"),
        ("base_model_id", "~/base", "base"),
        ("base_model_id", "C:\\models\\base", "base"),
        ("base_model_id", "org/model", "org/model"),
        ("adapter_id", "", ""),
        ("spec_path", "/ci/build 7/sway.yaml", "sway.yaml"),
        ("spec_path", "tests/sway.yaml", "tests/sway.yaml"),
        ("message", "no file '/tmp/a/b.txt': made of 1/2 and/or 3", "no file 'b.txt': made of 1/2 and/or 3"),
        ("message", "see https://host/a/b", "see https://host/a/b"),
        ("message", "\\d+/\\w+", "\\d+/\\w+"),
        ("digests", {"base": "ab/cd"}, {"base": "ab/cd"}),
    ],
)
def test_of_a_path_the_last_part_stays(key: str, value: Any, masked: Any) -> None:
    assert mask_variable_fields({key: value}) == {key: masked}


def test_what_varies_goes_at_every_depth() -> None:
    varying = dict.fromkeys(
        ["started_at", "finished_at", "wall_seconds", "duration_s", "sway_version", "backend_stats"], 1
    )
    assert mask_variable_fields({**varying, "probes": [{**varying, "raw": 1.0}]}) == {
        "probes": [{"raw": 1.0}]
    }


@settings(max_examples=40)
@given(st.text(), st.text())
def test_another_model_is_noticed(one: str, other: str) -> None:
    assume(one != other)
    both = [mask_variable_fields({"digests": {"base": f"0{name.encode().hex()}"}}) for name in (one, other)]
    assert [found.path for found in compare_goldens(*both)] == ["digests.base"]


@pytest.mark.slow
def test_two_runs_of_one_suite_are_alike_and_two_models_are_not(project: pytest.Pytester) -> None:
    results = []
    for base, folder in (("fakellm", "here"), ("fakellm", "elsewhere"), ("weak", "other")):
        place = project.mkdir(folder)
        (place / "sway.yaml").write_text(SPEC.replace("base: fakellm", f"base: {base}"))
        where = ["--rootdir", place, "--confcutdir", project.path]
        project.runpytest(place / "sway.yaml", f"--sway-json={folder}.json", *where)
        results.append(mask_variable_fields(json.loads((project.path / f"{folder}.json").read_text())))
    here, elsewhere, weak = results
    assert str(project.path) not in json.dumps(here)
    assert compare_goldens(here, elsewhere) == []
    paths = {found.path for found in compare_goldens(weak, here)}
    assert {"base_model_id", "score.overall", "probes[1].raw", "probes[1].samples[0].value"} <= paths
