"""``defaults.chat_template`` and ``defaults.chat_template_kwargs``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sway.backends.base import ModelKey
from pytest_sway.items.suite import load_suite
from pytest_sway.spec.problems import SpecError

SPEC = """\
version: 1
models:
  base: {kind: dummy, base: m}
  ft: {kind: dummy, base: m, adapter: a}
suite:
  - {name: dk, kind: delta_kl, prompts: [a]}
defaults:
"""


def key(folder: Path, defaults: str) -> ModelKey:
    (folder / "sway.yaml").write_text(SPEC + f"  {defaults}\n", encoding="utf-8")
    return load_suite(folder / "sway.yaml").model


def test_they_are_part_of_the_models_key(tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text("{{ messages }}")
    found = key(tmp_path, "{chat_template: own.jinja, chat_template_kwargs: {b: [1, null], a: false}}")
    assert found.chat_template == str(tmp_path / "own.jinja")
    assert json.loads(found.chat_template_kwargs) == {"a": False, "b": [1, None]}
    assert found == key(
        tmp_path, "{chat_template: own.jinja, chat_template_kwargs: {a: false, b: [1, null]}}"
    )
    plain = key(tmp_path, "{seed: 1}")
    assert len({found, plain, key(tmp_path, "{chat_template_kwargs: {a: true}}")}) == 3


@pytest.mark.parametrize(
    ("defaults", "says"),
    [
        ("{chat_template: none.jinja}", "defaults.chat_template: the file"),
        ("{chat_template: .}", "is a folder"),
        ("{chat_template: empty.jinja}", "is empty"),
        ("{chat_template: latin.jinja}", "is not UTF-8 text"),
        ('{chat_template: "a\\0b"}', "defaults.chat_template: found"),
        ("{chat_template: ''}", "defaults.chat_template"),
        ("{chat_template: [a]}", "defaults.chat_template"),
        ("{chat_template_kwargs: enable_thinking}", "defaults.chat_template_kwargs"),
        ("{chat_template_kwargs: {tokenize: true}}", "'tokenize' is set by pytest-sway itself"),
        ("{chat_template_kwargs: {messages: []}}", "'messages' is set by pytest-sway itself"),
        (
            "{chat_template_kwargs: {enable-thinking: true}}",
            "'enable-thinking' is not a valid template variable name",
        ),
        ("{chat_template_kwargs: {date: 2024-01-01}}", "defaults.chat_template_kwargs"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, defaults: str, says: str) -> None:
    (tmp_path / "empty.jinja").write_text(" \n")
    (tmp_path / "latin.jinja").write_bytes("é".encode("latin-1"))
    with pytest.raises(SpecError) as found:
        key(tmp_path, defaults)
    (line, *others) = str(found.value).splitlines()
    assert line.startswith("sway.yaml:8:"), line
    assert says in line
    assert not others
