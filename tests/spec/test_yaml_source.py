"""YAML read safely: right values and places, and nothing that explodes or runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.spec import yaml_source
from pytest_sway.spec.problems import SpecError
from pytest_sway.spec.yaml_source import read_spec

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
keys = st.text("abcdef_", min_size=1, max_size=6)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4)
)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return tmp_path / "sway.yaml"


@given(st.dictionaries(keys, values, min_size=1, max_size=5))
def test_it_reads_what_safe_load_reads(tmp_path_factory: Any, value: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("s") / "sway.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    assert read_spec(path).value == yaml.safe_load(path.read_text(encoding="utf-8"))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_mapping_or_a_spec_error(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.mktemp("s") / "sway.yaml"
    path.write_bytes(content)
    try:
        found = read_spec(path).value
    except SpecError as error:
        assert str(error).startswith("sway.yaml")
    else:
        assert isinstance(found, dict)


def test_places_are_lines_and_columns_from_one(spec: Path) -> None:
    spec.write_text("a: 1\nsuite:\n  - name: x\n    runs: 3\n")
    found = read_spec(spec)
    assert found.locate(("suite", 0, "runs")) == (4, 11)
    assert found.locate(("suite", 0, "runs"), key=True) == (4, 5)
    assert found.locate(("suite", 0, "missing")) == (3, 5)


def test_aliases_and_merges_are_followed(spec: Path) -> None:
    spec.write_text("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x\n")
    assert read_spec(spec).value == {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}, "c": {"p": 1, "q": 2}}


def test_a_merge_keeps_the_place_of_what_it_is_merged_into(spec: Path) -> None:
    spec.write_text("a: &x {p: 1}\nsuite:\n  - <<: *x\n    q: 2\n")
    found = read_spec(spec)
    assert found.locate(("suite", 0)) == (3, 5)
    assert found.locate(("suite", 0, "q")) == (4, 8)


def merge_bomb() -> str:
    """Mappings of one key, each merged from the one before it twice."""
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{at + 1}: &a{at + 1} {{<<: [*a{at}, *a{at}]}}" for at in range(40)]
    return "\n".join(lines)


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "place", "says"),
    [
        (b"", "1:1", "the file is empty"),
        (b"# only a comment\n", "1:1", "the file is empty"),
        (b"a: 1\nb: \xff\xfe\n", "2:1", "byte 0xff is not UTF-8"),
        (b"- a\n- b\n", "1:1", "expected a mapping"),
        (b"just text", "1:1", "expected a mapping"),
        (b"a:\n\t- b\n", "2:1", "Use spaces to indent YAML"),
        (b"a: [1, 2\nb: 3\n", "2:2", "not YAML"),
        (b"a: 1\na: 2\n", "2:1", "duplicate key"),
        (b"1: x\n", "1:1", "found the key 1, which YAML reads as the number 1"),
        (b"a: !!python/object/apply:os.system ['true']\n", "1:4", "is not allowed"),
        (b"a: !!python/name:os.system\n", "1:4", "is not allowed"),
        (b"a: !mine x\n", "1:4", "is not allowed"),
        (b"a: &a [*a]\n", "1:4", "contains itself"),
        (b"<<: 3\n", "1:5", "needs a mapping"),
        (b"a: 2001-99-99\n", "1:4", "is not allowed"),
        (bomb().encode(), "", "aliases expand to more than"),
        (merge_bomb().encode(), "", "aliases expand to more than"),
        (b"a: 0x" + b"f" * 5000, "1:4", "longer than 1,000 characters"),
        (b"? 0x" + b"f" * 5000 + b"\n: a", "1:3", "longer than 1,000 characters"),
        (b"[" * 20_000, "1:", "nested deeper"),
        (b"a: " + b"x" * (yaml_source.MAX_BYTES + 1), "", "too large: 4.2 MB"),
        (b"a: \x00\n", "", "not YAML"),
    ],
)
def test_what_is_wrong_is_reported_with_its_place(spec: Path, content: bytes, place: str, says: str) -> None:
    spec.write_bytes(content)
    with pytest.raises(SpecError) as found:
        read_spec(spec)
    text = str(found.value)
    assert text.startswith(f"sway.yaml:{place}"), text
    assert says in text


def test_no_file_is_reported(spec: Path) -> None:
    with pytest.raises(SpecError, match="there is no file"):
        read_spec(spec)


def test_a_tag_runs_nothing(spec: Path, tmp_path: Path) -> None:
    victim = tmp_path / "touched"
    spec.write_text(f"a: !!python/object/apply:pathlib.Path.touch [{victim}]\n")
    with pytest.raises(SpecError):
        read_spec(spec)
    assert not victim.exists()


def test_a_byte_order_mark_is_no_content(spec: Path) -> None:
    spec.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_spec(spec).value == {"a": 1}
