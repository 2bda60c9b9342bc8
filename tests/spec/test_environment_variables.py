"""``${NAME}`` and ``${NAME:-default}`` in paths and ids; other ways of writing a variable are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.spec.environment_variables import expand
from pytest_sway.spec.problems import SpecError

SPEC = """\
models:
  base: {kind: dummy, base: m}
  ft: {kind: dummy, base: m, adapter: a}
suite:
  - {name: dk, kind: delta_kl, prompts: [a]}
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWAY_TEST_DIR", "found")
    monkeypatch.setenv("SWAY_TEST_EMPTY", "")
    monkeypatch.setenv("SWAY_TEST_ODD", "${SWAY_TEST_DIR} $x {{ y }}")
    monkeypatch.delenv("SWAY_TEST_NONE", raising=False)


def load_spec(folder: Path, text: str) -> Suite:
    (folder / "sway.yaml").write_text(text)
    return load_suite(folder / "sway.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${SWAY_TEST_DIR}", "found"),
        ("./${SWAY_TEST_DIR}/x/${SWAY_TEST_DIR}", "./found/x/found"),
        ("${SWAY_TEST_DIR:-other}", "found"),
        ("${SWAY_TEST_NONE:-other}", "other"),
        ("${SWAY_TEST_EMPTY:-other}", "other"),
        ("${SWAY_TEST_NONE:-}", ""),
        ("${SWAY_TEST_NONE:-a b/c:d}", "a b/c:d"),
        ("${SWAY_TEST_ODD}", "${SWAY_TEST_DIR} $x {{ y }}"),  # what a variable holds is not read again
        ("$${SWAY_TEST_DIR}", "${SWAY_TEST_DIR}"),
        ("C$/share, 5 $ and 100 %", "C$/share, 5 $ and 100 %"),
        ("a%20b%20c", "a%20b%20c"),
        ("org/model", "org/model"),
    ],
)
def test_what_is_expanded(text: str, expected: str) -> None:
    assert expand(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${SWAY_TEST_NONE}", "the environment variable SWAY_TEST_NONE is not set; set it, or write"),
        ("${SWAY_TEST_EMPTY}", "the environment variable SWAY_TEST_EMPTY is empty"),
        ("$SWAY_TEST_DIR/x", "$SWAY_TEST_DIR is not expanded; write ${SWAY_TEST_DIR}"),
        ("%SWAY_TEST_DIR%\\x", "%SWAY_TEST_DIR% is not expanded; write ${SWAY_TEST_DIR}"),
        ("{{ env.SWAY_TEST_DIR }}", "templates are not supported; write ${SWAY_TEST_DIR}"),
        ("{{SWAY_TEST_DIR}}", "templates are not supported; write ${SWAY_TEST_DIR}"),
        ("{{ a | b }}", "templates are not supported; write ${a}"),
        ("${oc.env:SWAY_TEST_DIR}", "only ${NAME} and ${NAME:-default} are supported"),
        ("${SWAY_TEST_DIR", "only ${NAME} and ${NAME:-default} are supported"),
        ("${SWAY_TEST_DIR:?no}", "only ${NAME} and ${NAME:-default} are supported"),
        ("${A:-${B}}", "only ${NAME} and ${NAME:-default} are supported"),
        ("C:\new", "YAML reads \\n in double quotes as one"),
        ("C:\table", "YAML reads \\t in double quotes as one"),
    ],
)
def test_what_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        expand(text)
    assert says in str(refused.value)


@settings(max_examples=50)
@given(st.text())
def test_any_text_is_expanded_or_refused(text: str) -> None:
    try:
        expand(text)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("  base: {kind: dummy, base: '${SWAY_TEST_NONE}'}", "models.base.base"),
        ("  base: {kind: dummy, base: m, revision: '${SWAY_TEST_NONE}'}", "models.base.revision"),
        ("  base: {kind: dummy, base: m, endpoint: '${SWAY_TEST_NONE}'}", "models.base.endpoint"),
        ("  base: {kind: dummy, base: m, dtype: '${SWAY_TEST_NONE}'}", "models.base.dtype"),
        ("  base: {kind: dummy, base: m, adapter: ['${SWAY_TEST_NONE}']}", "models.base.adapter[0]"),
        ("  base: {kind: dummy, base: m, adapter: '${SWAY_TEST_NONE}'}", "models.base.adapter"),
    ],
)
def test_an_unset_variable_is_one_line_with_its_place(tmp_path: Path, line: str, field: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_spec(tmp_path, SPEC.replace("  base: {kind: dummy, base: m}", line))
    text = str(refused.value)
    assert "\n" not in text
    column = line.index("'$") + 1
    assert text.startswith(
        f"sway.yaml:2:{column}: {field}: found '${{SWAY_TEST_NONE}}': the environment variable"
    )


@pytest.mark.parametrize(
    "entry",
    [
        "{name: x, kind: gradient_ghost, adapter_path: '${SWAY_TEST_NONE}/a'}",
        "{name: x, kind: training_drift, store_path: '${SWAY_TEST_NONE}/a'}",
        "{name: x, kind: null_adapter, family: yours, adapters: [a, '${SWAY_TEST_NONE}']}",
        "{name: x, kind: cluster_kl, prompts: [a], embedding_model: '${SWAY_TEST_NONE}'}",
    ],
)
def test_paths_and_ids_of_probes_are_expanded(tmp_path: Path, entry: str) -> None:
    for text, fine in ((entry, False), (entry.replace("NONE}", "NONE:-a}"), True)):
        try:
            load_spec(tmp_path, f"{SPEC}  - {text}\n")
        except SpecError as error:
            assert fine is False or "adapters" in entry  # those must be there
            assert fine is ("the environment variable SWAY_TEST_NONE is not set" not in str(error))
        else:
            assert fine is True


def test_the_model_and_the_sections_are_those_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "s.yaml").write_text("- {id: one, content: text}")
    text = SPEC.replace("base: m", "base: '${SWAY_TEST_DIR}'") + "sections: ${SWAY_TEST_DIR}/s.yaml\n"
    suite = load_spec(tmp_path, text)
    assert suite.model.base == str(tmp_path / "found")
    assert [section.id for section in suite.spec.document.sections] == ["one"]


def test_a_prompt_is_never_expanded(tmp_path: Path) -> None:
    prompts = ["${SWAY_TEST_DIR}", "$HOME", "{{ x }}", "50 %a%"]
    suite = load_spec(tmp_path, SPEC.replace("prompts: [a]", f"prompts: {prompts}"))
    assert suite.entries[0].probe.options.prompts == prompts
