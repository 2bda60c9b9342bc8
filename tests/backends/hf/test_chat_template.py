"""What the model reads is the user's prompt, whatever its chat template does; or the prompt is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from pytest_sway.backends.hf.prompts.chat_template import TemplateSettings
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.requests import Prompt, RequestError, ToolPrompt, Turn
from tests.support.chat_templates import (
    ALTERNATING,
    DATED,
    EITHER,
    MARKED_BY_BOS,
    OPEN_THOUGHT,
    PARTS,
    SYSTEM_FIRST,
    THINKING,
    WITH_TOOLS,
    loop,
    tokenizer_of,
)

ASKED = (Turn("user", "Who keeps the lamps?"),)
DIALOGUE = (*ASKED, Turn("assistant", "Bram & Co."), Turn("user", "Since when?"))
INSTRUCTED = (Turn("system", "Be brief."), *ASKED)
NOON = datetime(2024, 7, 26, 12)


def tokens(template: str | None, arguments: str = "{}", **more: Any) -> PromptTokenizer:
    return PromptTokenizer(tokenizer_of(template, **more), TemplateSettings(arguments=arguments, moment=NOON))


@pytest.mark.parametrize("template", [DATED, ALTERNATING, SYSTEM_FIRST, THINKING, PARTS, EITHER])
@pytest.mark.parametrize("prompt", [ASKED, DIALOGUE, (Turn("user", "  spaces at its ends \n"),)])
def test_every_turns_text_is_read(template: str, prompt: tuple[Turn, ...]) -> None:
    text = tokens(template).rendered_text(prompt)
    places = [text.index(turn.content.strip()) for turn in prompt]
    assert places == sorted(places)


@pytest.mark.parametrize("template", [DATED, SYSTEM_FIRST, THINKING, PARTS])
def test_a_system_turn_is_read(template: str) -> None:
    text = tokens(template).rendered_text(INSTRUCTED)
    assert "Be brief." in text
    assert ASKED[0].content in text


@pytest.mark.parametrize(
    ("template", "prompt", "says"),
    [
        (loop("m['text']"), ASKED, "omits the text of the user turn"),
        (loop("m['content'] | upper"), ASKED, "changes the text of the user turn"),
        (loop("m['content'][:12]"), ASKED, "omits the text of the user turn"),
        (loop("m['content'][:-3]"), ASKED, "omits the text of the user turn"),
        (loop("m['content'][:15]"), (Turn("user", "x" * 16),), "is missing from the rendered text"),
        (loop("m['content'] | e"), DIALOGUE, "turn 2 of 3 (assistant): 'Bram & Co.'"),
        (loop("m['content'] | tojson"), (Turn("user", 'say "a"'),), "is missing from the rendered text"),
        (loop("m['content'] | replace('\\n\\n', '\\n')"), (Turn("user", "a\n\nb"),), "is missing from"),
        (loop("'' if m['role'] == 'system' else m['content']"), INSTRUCTED, "turn 1 of 2 (system)"),
        ("{{ messages[-1]['content'] }}", DIALOGUE, "omits the text of turn 1 of 3 (user)"),
        ("{% for m in messages[-2:] %}{{ m['content'] }}{% endfor %}", DIALOGUE, "turn 1 of 3 (user)"),
        ("{% for m in messages | reverse %}{{ m['content'] }}{% endfor %}", DIALOGUE, "changes the order"),
        (ALTERNATING, INSTRUCTED, "roles must alternate"),
        (loop("m['content'] ~ [1, 2, 3, 4, 5, 6, 7, 8] | random"), ASKED, "differently each time"),
        (loop("m['content'] ~ lipsum(1)"), ASKED, "differently each time"),
        (
            "{% if messages[0]['role'] != 'system' %}{{ raise_exception('no system turn') }}{% endif %}",
            ASKED,
            "no system",
        ),
    ],
)
def test_a_template_that_does_not_render_a_prompt_is_refused(
    template: str, prompt: Prompt, says: str
) -> None:
    with pytest.raises(RequestError) as found:
        tokens(template).encode(prompt)
    assert says in str(found.value)
    assert str(found.value).startswith("the chat template ")


@pytest.mark.parametrize(
    "expression", ["''.__class__.__mro__", "cycler.__init__.__globals__.os.getpid()", "messages.append(1)"]
)
def test_a_template_reaches_nothing_of_python(expression: str) -> None:
    template = "{{ " + expression + " }}" + loop("m['content']")
    with pytest.raises(RequestError, match=r"is unsafe\.$"):
        tokens(template).encode(ASKED)


def test_turns_may_be_written_as_json() -> None:
    as_json = "{% for m in messages %}{'role': '{{ m['role'] }}', 'text': '{{ m['content'] }}'}{% endfor %}"
    assert tokens(as_json, adds_bos=False).rendered_text(ASKED) == (
        "{'role': 'user', 'text': 'Who keeps the lamps?'}"
    )


def test_a_prompt_that_the_template_also_writes_is_missed() -> None:
    """The template writes "user" itself, so that word is in every text that it renders."""
    with pytest.raises(RequestError, match="omits"):
        tokens(loop("m['text']")).encode((Turn("user", "user"),))


def test_thoughts_of_an_earlier_turn_may_be_left_out() -> None:
    thought = (ASKED[0], Turn("assistant", "<think>\nlamps…\n</think>\n\nBram does."), Turn("user", "Sure?"))
    text = tokens(THINKING).rendered_text(thought)
    assert "Bram does." in text
    assert "lamps…" not in text


def test_arguments_reach_the_template() -> None:
    with_block = tokens(THINKING, '{"enable_thinking": false}', adds_bos=False)
    assert with_block.rendered_text(ASKED).endswith("<think>\n\n</think>\n\n")
    assert not with_block.notes()
    dated = tokens(DATED, '{"date_string": "1 May 2020"}')
    assert "Today is 1 May 2020." in dated.rendered_text(ASKED)
    assert not dated.notes()
    assert len({with_block.identity, tokens(THINKING).identity, dated.identity}) == 3


def test_thinking_that_nobody_chose_is_noted() -> None:
    unset, opened, read_raw = tokens(THINKING), tokens(OPEN_THOUGHT), tokens(OPEN_THOUGHT)
    unset.encode(ASKED)
    opened.encode(ASKED)
    read_raw.encode("Who keeps the lamps?")
    assert any("enable_thinking" in note for note in unset.notes())
    assert any("inside a <think> block" in note for note in opened.notes())
    assert not any("<think>" in note for note in read_raw.notes())


def test_the_clock_stands_still() -> None:
    dated = tokens(DATED)
    assert "Today is 26 Jul 2024." in dated.rendered_text(ASKED)
    (note,) = dated.notes()
    assert "2024-07-26 12:00" in note
    import transformers.utils.chat_template_utils as theirs

    assert theirs.datetime is datetime


def test_a_clock_that_is_read_and_not_printed_is_no_date() -> None:
    silent = tokens("{% set now = strftime_now('%Y') %}" + loop("m['content']"))
    silent.encode(ASKED)
    assert not any("date" in note for note in silent.notes())


def test_a_date_that_no_prompt_holds_is_not_noted() -> None:
    dated = tokens(DATED)
    assert "tools" not in dated.capabilities
    dated.encode("a text")
    assert not any("date" in note for note in dated.notes())


BOS = "<|bos|>"


@pytest.mark.parametrize(
    ("template", "adds_bos", "prompt", "expected", "noted"),
    [
        (DATED, True, ASKED, 1, None),
        (DATED, False, ASKED, 1, None),
        (DATED, False, "text", 0, "Prompts without a chat template are encoded without <|bos|>"),
        ("{{ bos_token }}" + DATED, True, ASKED, 1, "more than once"),
        (THINKING, True, ASKED, 0, "does not add <|bos|>"),
        (THINKING, False, ASKED, 0, None),
        (MARKED_BY_BOS, False, ASKED, 2, None),
        (MARKED_BY_BOS, False, "text", 0, None),
        (DATED, True, f"{BOS}text", 1, None),
        (None, True, f"{BOS}text", 1, None),
        (None, False, "text", 0, None),
    ],
)
def test_a_text_has_one_beginning(
    template: str | None, adds_bos: bool, prompt: Prompt, expected: int, noted: str | None
) -> None:
    found = tokens(template, adds_bos=adds_bos)
    ids = found.encode(prompt)
    assert ids.count(found.tokenizer.bos_token_id) == expected
    both, first = found.encode_pair(prompt, " more")
    assert both[:first] == ids
    said = [note for note in found.notes() if BOS in note]
    assert len(said) == (noted is not None)
    assert all(str(noted) in note for note in said)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (DATED, "<|head|>user<|body|>\nHello<|eos|><|head|>assistant<|body|>\n"),
        (DATED, f"{BOS}<|head|>user<|body|>\nHello<|eos|>"),
        (THINKING, "<|head|>system\nBe brief.<|eos|>\n<|head|>user\nHello<|eos|>\n<|head|>assistant\n"),
        (SYSTEM_FIRST, f"{BOS}<|head|>user\nHello<|eos|>\n<|head|>model\n"),
        (ALTERNATING, "[INST] Hello [/INST]"),
        (MARKED_BY_BOS, f"{BOS}user\nHello<|eos|>\n{BOS}assistant\n"),
        (PARTS, "<|head|>User: Hello<|eos|>\n<|head|>Assistant:"),
    ],
)
def test_a_rendered_chat_is_not_rendered_again(template: str, text: str) -> None:
    found = tokens(template)
    read = found.rendered_text((Turn("user", text),))
    writes_bos = found.chat.render(ASKED).startswith(BOS)
    assert read == (BOS if writes_bos and not text.startswith(BOS) else "") + text
    assert any("1 prompt already contains" in note for note in found.notes())
    with pytest.raises(RequestError, match="write the prompt as plain text"):
        found.encode((Turn("user", text), *DIALOGUE[1:]))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (THINKING, "What does <|head|> mean?"),
        (ALTERNATING, "What does [INST] mean?"),
        (loop("m['content']"), "Tell me of the user"),
        ("{% for m in messages %}{{ m['content'] }}{% endfor %}", "anything"),
    ],
)
def test_a_prompt_about_a_template_is_rendered(template: str, text: str) -> None:
    found = tokens(template)
    assert found.rendered_text((Turn("user", text),)) == found.chat.render_unchecked((Turn("user", text),))
    assert not any("already contain" in note for note in found.notes())


def test_tools_are_read_by_name() -> None:
    tool = '{"type": "function", "function": {"name": "trim_lamp", "description": "", "parameters": {}}}'
    assert "trim_lamp" in tokens(WITH_TOOLS).rendered_text(ToolPrompt(ASKED, (tool,)))
    blind = tokens(loop("m['content']") + "{{ tools | length if tools else '' }}")
    with pytest.raises(RequestError, match="does not render the tool 'trim_lamp'"):
        blind.encode(ToolPrompt(ASKED, (tool,)))
    rendered = (Turn("user", "<|head|>user\nHello<|eos|>"),)
    with pytest.raises(RequestError, match="no turn or tool"):
        tokens(WITH_TOOLS).encode(ToolPrompt(rendered, (tool,)))


def test_a_subjects_own_tokenizer_follows_the_rules_of_the_spec() -> None:
    base = PromptTokenizer(tokenizer_of(THINKING), TemplateSettings(ALTERNATING, "{}", NOON))
    own = base.with_tokenizer(tokenizer_of(DATED))
    assert own is base
    base = tokens(THINKING, '{"enable_thinking": false}')
    own = base.with_tokenizer(tokenizer_of(loop("m['content']")))
    assert own is not base
    assert own.chat.settings is base.chat.settings
    assert base.with_tokenizer(base.tokenizer) is base


def test_many_prompts_are_forgotten_and_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_sway.backends.hf.prompts import prompt_tokenizer as module

    monkeypatch.setattr(module, "_MAX_REMEMBERED_IDS", 20)
    found = tokens(THINKING)
    asked = [(Turn("user", f"lamp {n}"),) for n in range(20)]
    first = [found.encode(prompt) for prompt in asked]
    assert [found.encode(prompt) for prompt in asked] == first
