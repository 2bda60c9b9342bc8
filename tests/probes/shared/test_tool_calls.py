"""Tool calls as the common families write them, and as they write them when they fail."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.probes.shared.tool_calls import Call, find_call

WEATHER = Call("get_weather", {"city": "Paris", "days": 2})
BODY = '{"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}'
LLAMA = BODY.replace("arguments", "parameters")
OPENAI = json.dumps(
    {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris", "days": 2}'},
    }
)


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        f"<tool_call>\n{BODY}\n</tool_call>",
        f"\n{BODY}\n",  # the tags were special tokens
        f"<think>\nPerhaps {BODY.replace('Paris', 'Rome')}.\n</think>\n<tool_call>{BODY}</tool_call>",
        f"<tool_call>{BODY}</tool_call>\n<tool_call>{BODY.replace('Paris', 'Rome')}</tool_call>",
        LLAMA,
        f"<|python_tag|>{LLAMA}<|eom_id|>",
        LLAMA.replace('{"name"', '{"type": "function", "name"'),
        f"[TOOL_CALLS] [{BODY}]",
        f"[{BODY}, {BODY.replace('Paris', 'Rome')}]",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris", "days": 2}',
        'get_weather{"city": "Paris", "days": 2}',
        '<function=get_weather>{"city": "Paris", "days": 2}</function>',
        OPENAI,
        json.dumps({"role": "assistant", "tool_calls": [json.loads(OPENAI)]}),
        f"Sure, here it is:\n```json\n{BODY}\n```\nAnything else?",
        f"I pass {{x}} and {{}} and [1, 2].\n{BODY} That is all.",
        '[get_weather(city="Paris", days=2)]',
        "[get_weather(city='Paris', days=2), get_weather(city='Rome', days=2)]",
        '<|python_tag|>get_weather(city="Paris", days=2)',
        '```tool_code\nget_weather(\n    city="Paris",\n    days=2,\n)\n```',
        'I shall ask.\nget_weather(city="Paris", days=2)\nOne moment.',
    ],
)
def test_the_formats(text: str) -> None:
    assert find_call(text) == WEATHER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is sunny in Paris.",
        '{"city": "Paris"}',
        '{"name": "Paris"}',
        '{"name": 3, "arguments": {}}',
        BODY[:-1],
        BODY[:40],
        '{"name": "f", "arguments": {"x": NaN}}',
        '{"name": "f", "description": "", "parameters": {"type": "object", "properties": {"a": {}}}}',
        'get_weather("Paris")',
        "get_weather(city=home())",
        "get_weather(**given)",
        "(lambda: 1)(a=1)",
        "__import__('os').system('true')",
        "I would call get_weather(city='Paris') now.",
        r"\frac{1}{2}",
        "{" * 5000,
        "[" * 5000,
        "f(" * 5000,
        '{"name": "f", "arguments": ' + '{"a":' * 400 + "1" + "}" * 400 + "}",
        "\x00(",
    ],
)
def test_no_call(text: str) -> None:
    assert find_call(text) is None


def test_a_call_with_arguments_that_are_no_object_is_still_one() -> None:
    assert find_call('{"name": "f", "arguments": "Paris"}') == Call("f", "Paris")
    assert find_call('{"name": "f", "arguments": "{\\"a\\": 1"}') == Call("f", '{"a": 1')
    assert find_call('{"name": "f", "arguments": [1]}') == Call("f", [1])


def test_nothing_is_run(tmp_path) -> None:
    target = tmp_path / "made"
    assert find_call(f"[f(a=open({str(target)!r}, 'w'))]") is None
    assert not target.exists()


def test_a_strange_escape_warns_nobody(recwarn: pytest.WarningsRecorder) -> None:
    assert find_call("f(a='\\d')") == Call("f", {"a": "\\d"})
    assert not recwarn.list


NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(
    lambda name: (
        name.isidentifier() and name not in ("True", "False", "None", "and", "or", "not", "if", "is", "in")
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(string.printable, max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(NAMES.filter(lambda n: n != "properties"), JSON, max_size=4)
PROSE = st.text(string.ascii_letters + " .,\n", max_size=40)


@given(NAMES, ARGUMENTS, PROSE, PROSE)
@settings(max_examples=50)
def test_a_json_call_is_found_as_it_was_written(name, arguments, before, after) -> None:
    for key, value in (
        ("arguments", arguments),
        ("parameters", arguments),
        ("arguments", json.dumps(arguments)),
    ):
        body = json.dumps({"name": name, key: value})
        for text in (
            f"{before}{body}{after}",
            f"{before}<tool_call>\n{body}\n</tool_call>",
            f"[TOOL_CALLS] [{body}]",
        ):
            assert find_call(text) == Call(name, arguments)


@given(NAMES, ARGUMENTS)
@settings(max_examples=50)
def test_a_python_call_is_found_as_it_was_written(name, arguments) -> None:
    written = f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
    for text in (written, f"[{written}]", f"```python\n{written}\n```"):
        assert find_call(text) == Call(name, arguments)


@given(st.text(max_size=60) | st.text('{}[]"\\:,()=<>/|fna1 \n', max_size=60))
@settings(max_examples=50)
def test_no_text_is_an_error(text: str) -> None:
    call = find_call(text)
    assert call is None or call.name
