"""Tool calls in the text that a model wrote, in the formats of the common families. Nothing is evaluated."""

from __future__ import annotations

import ast
import json
import re
import warnings
from dataclasses import dataclass
from typing import Any

_MOST_NESTED = 32
"""Deeper values are no arguments of a tool; they would only exhaust the stack."""
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_MARKERS = re.compile(r"</?tool_calls?>|\[/?TOOL_CALLS\]|<\|python_tag\|>|<\|eo[mt]_id\|>")
_OPENS = re.compile(r"[\[{]")
_NAMED = re.compile(r"(?:<function=([\w.-]+)>|^[ \t]*([A-Za-z_][\w.-]*)(?:\[ARGS\])?)(?=\{)", re.MULTILINE)


@dataclass(frozen=True)
class Call:
    """A tool call as a model wrote it.

    Attributes:
        name: of the tool.
        arguments: what stood there; an object, where the call is well-formed.
    """

    name: str
    arguments: Any


def find_call(text: str) -> Call | None:
    """The first tool call in a text, or None.

    Read are: JSON objects with ``name`` and ``arguments`` or ``parameters`` (Hermes and Qwen between
    ``<tool_call>`` tags, Llama 3 after ``<|python_tag|>``, Mistral as a list after ``[TOOL_CALLS]``), the
    same under ``function`` (OpenAI, whose arguments may be JSON text), a name right before its arguments
    (``<function=f>{…}``, ``f[ARGS]{…}``), and Python calls with literal keywords (``[f(a=1)]``: Gemma, Llama
    3.2); bare, in a fenced block, or in the midst of other text. No tag is needed, since special tokens are
    lost where token ids are decoded. What stands before ``</think>`` is not read.
    """
    answer = text.rpartition("</think>")[2]
    plain = _MARKERS.sub("\n", answer)
    return _json_call(answer) or _named_call(plain) or _python_call(plain)


def _json_call(text: str) -> Call | None:
    """The first JSON value in the text that is a call; what stands inside another value is not looked at."""
    at = 0
    while found := _OPENS.search(text, at):
        value, at = _decode_value(text, found.start())
        call = _as_call(value)
        if call is not None:
            return call
    return None


def _named_call(text: str) -> Call | None:
    for found in _NAMED.finditer(text):
        value, _ = _decode_value(text, found.end())
        if isinstance(value, dict):
            return Call(found[1] or found[2], value)
    return None


def _python_call(text: str) -> Call | None:
    """The first Python call with literal keywords: the whole text, a fenced block, or a line."""
    pieces = [text, *_FENCE.findall(text), *text.splitlines()]
    for piece in dict.fromkeys(map(str.strip, pieces)):
        if "(" not in piece:
            continue
        try:
            call = _parse_python(piece)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        if call is not None:
            return call
    return None


def _parse_python(piece: str) -> Call | None:
    """A Python expression as a call; raises what the parser raises on anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of "\d" in a string
        node = ast.parse(piece, mode="eval").body
    call = node.elts[0] if isinstance(node, ast.List) and node.elts else node
    if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, (ast.Name, ast.Attribute)):
        return None
    given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords if word.arg}
    complete = len(given) == len(call.keywords)
    return Call(ast.unparse(call.func), given) if complete and _is_shallow(given) else None


def _as_call(value: Any) -> Call | None:
    """A JSON value as a call: itself, the first that it holds, or what stands under ``function``."""
    if isinstance(value, list):
        return next((call for call in map(_as_call, value) if call is not None), None)
    if not isinstance(value, dict):
        return None
    for inner in ("function", "tool_calls"):
        if isinstance(value.get(inner), (dict, list)):
            return _as_call(value[inner])
    name = value.get("name")
    key = next((key for key in ("arguments", "parameters") if key in value), None)
    if not isinstance(name, str) or key is None or _is_schema(value[key]):
        return None
    return Call(name, _parse_arguments(value[key]))


def _is_schema(arguments: Any) -> bool:
    """Whether it is a tool's description, repeated: a schema of arguments, and no arguments."""
    return isinstance(arguments, dict) and isinstance(arguments.get("properties"), dict)


def _parse_arguments(arguments: Any) -> Any:
    """Arguments that are JSON text, as OpenAI writes them, read; anything else as it is."""
    if not isinstance(arguments, str):
        return arguments
    text = arguments.strip()
    value, end = _decode_value(text, 0) if text.startswith("{") else (None, 0)
    return value if isinstance(value, dict) and end == len(text) else arguments


def _decode_value(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at ``start`` and where it ends; None, and the next place, where there is none."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        return None, len(text)  # a model that only opens brackets: each of them would be tried in vain
    except ValueError:
        return None, start + 1
    return (value if _is_shallow(value) else None), end


def _is_shallow(value: Any, left: int = _MOST_NESTED) -> bool:
    parts = (
        value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, set)) else ()
    )
    return left > 0 and all(_is_shallow(part, left - 1) for part in parts)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
