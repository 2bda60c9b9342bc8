"""A spec's own chat template, its arguments and the moment of a run, on a loaded model."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.prompts.chat_template import TemplateSettings
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.spec_chat_template import (
    check_template_arguments,
    digest_with_settings,
    read_template_settings,
)
from pytest_sway.engine.answer_keys import read_key
from pytest_sway.requests import Generate, Turn, View
from tests.support.chat_templates import BASE, DATED, THINKING, tokenizer_of

ASKED = (Turn("user", "Who keeps the lamps?"),)
HEALTHY = BASE.parent / "adapters" / "healthy"
FIRST, LATER = datetime(2024, 7, 26), datetime(2024, 7, 27)


def test_a_model_is_served_under_the_specs_template(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text(DATED + "{{ greeting }}", encoding="utf-8")
    key = ModelKey("hf", str(BASE), device="cpu", chat_template=str(file))
    given = ModelKey(
        "hf", str(BASE), device="cpu", chat_template=str(file), chat_template_kwargs='{"greeting": "Hi"}'
    )
    keys, bases = set(), set()
    for one, moment in ((key, FIRST), (key, LATER), (given, FIRST)):
        backend = load_backend(one, moment)
        subject = backend.attach(AdapterKey(str(HEALTHY)))
        text = backend.rendered_prompt(ASKED)
        assert f"Today is {moment:%d %b %Y}." in text
        assert text.endswith("Hi") == (one is given)
        assert any(f"{moment:%Y-%m-%d}" in note for note in backend.prompt_notes())
        keys.add(read_key(Generate(ASKED, View("the same"), 4), "", backend))
        bases.add(subject.base.base)
        backend.close()
    assert len(keys) == 3, "one prompt each"
    assert len(bases) == 2, "the day changes the prompt and no weights, template or argument"


def test_line_ends_of_windows_change_no_prompt(tmp_path: Path) -> None:
    texts = []
    for name, ends in (("unix", "\n"), ("windows", "\r\n")):
        file = tmp_path / name
        file.write_bytes((THINKING + "\nend").replace("\n", ends).encode())
        key = ModelKey("hf", str(BASE), chat_template=str(file))
        texts.append(read_template_settings(key, tokenizer_of(None), FIRST).template)
    assert texts[0] == texts[1] == THINKING + "\nend"


def test_an_argument_that_no_template_reads_is_refused(tmp_path: Path) -> None:
    backend = load_backend(
        ModelKey("hf", str(BASE), device="cpu", chat_template_kwargs='{"enable_thinkin": false}')
    )
    with pytest.raises(BackendError, match=r"chat_template_kwargs: .* does not use 'enable_thinkin'"):
        backend.attach(AdapterKey(str(HEALTHY)))
    backend.close()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{% for m in messages %}\n{{ m['content'] }", "line 2"),
        (b"{% if x %}\n\n{% endfor %}", "line 3"),
        ("é".encode("latin-1"), "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "own.jinja"
    if content is not None:
        file.write_bytes(content)
    key = ModelKey("hf", "m", chat_template=str(file))
    with pytest.raises(BackendError) as found:
        read_template_settings(key, tokenizer_of(None), FIRST)
    assert str(found.value).startswith(f"defaults.chat_template: {file}")
    assert says in str(found.value)
    assert "\n" not in str(found.value)


def test_a_digest_tells_templates_and_arguments_apart() -> None:
    rules = [
        TemplateSettings(),
        TemplateSettings(DATED),
        TemplateSettings(THINKING),
        TemplateSettings(arguments='{"a": 1}'),
        TemplateSettings(DATED, '{"a": 1}'),
    ]
    assert digest_with_settings("weights", rules[0]) == "weights"
    assert len({digest_with_settings("weights", one) for one in rules}) == len(rules)


def test_arguments_are_searched_in_every_template_of_a_tokenizer() -> None:
    tokenizer = tokenizer_of({"default": THINKING, "tool_use": DATED})  # type: ignore[arg-type]
    arguments = '{"enable_thinking": false, "date_string": "today"}'
    check_template_arguments(PromptTokenizer(tokenizer, TemplateSettings(arguments=arguments)).chat)
    with pytest.raises(BackendError, match="the tokenizer has no chat template"):
        check_template_arguments(
            PromptTokenizer(tokenizer_of(None), TemplateSettings(arguments=arguments)).chat
        )
