"""Chat templates that loop, allocate, recurse, reach for Python, raise, or write what is no text."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import CANARY, Case, written
from tests.hostile.doors import base_door, copy_of_base, dry_run, spec, template_door, whole_run

_TURNS = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
_OF_ADAPTER = "adapter"


def _nested(depth: int) -> str:
    return "".join(f"{{% for i{n} in range(99999) %}}" for n in range(depth)) + "x" + "{% endfor %}" * depth


TEMPLATES: dict[str, str] = {
    "nested loops": _nested(4) + _TURNS,
    "a loop without output": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    + _TURNS,
    "a text of 10**9": _TURNS + "{{ 'a' * 10**9 }}",
    "a text of 10**12": _TURNS + "{{ 'a' * 10**12 }}",
    "a list of 10**10": _TURNS + "{{ ([0] * 10**10) | length }}",
    "a range of 10**9": _TURNS + "{{ range(10**9) | list | length }}",
    "a text that doubles": (
        "{% set ns = namespace(a='aaaaaaaa') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}"
        "{{ ns.a | length }}" + _TURNS
    ),
    "a power": _TURNS + "{{ 9 ** 9 ** 9 }}",
    "a power of a power": _TURNS + "{{ (10 ** 1000000) ** 1000 }}",
    "a number of 10**7 digits as text": _TURNS + "{{ 10 ** 10000000 }}",
    "a wide field": _TURNS + "{{ '%1000000000d' % 1 }}",
    "a wide format": _TURNS + "{{ '{:1000000000}'.format(1) }}",
    "a wide center": _TURNS + "{{ 'a' | center(10**9) }}",
    "much lorem ipsum": _TURNS + "{{ lipsum(n=100000000) }}",
    "a recursion": "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}" + _TURNS,
    "a recursive loop": "{% for m in [[]] recursive %}{{ loop([[]]) }}{% endfor %}" + _TURNS,
    "classes": "{{ ''.__class__.__mro__[1].__subclasses__() }}" + _TURNS,
    "classes by a filter": "{{ ''|attr('__class__')|attr('__mro__') }}" + _TURNS,
    "classes by map": "{{ ['']|map(attribute='__class__')|list }}" + _TURNS,
    "globals of a global": "{{ lipsum.__globals__['os'].popen('touch CANARY').read() }}" + _TURNS,
    "globals of cycler": "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}" + _TURNS,
    "globals of raise_exception": "{{ raise_exception.__globals__ }}" + _TURNS,
    "the environment by self": "{{ self.__init__.__globals__ }}{{ self._TemplateReference__context }}"
    + _TURNS,
    "the format of a class": "{{ '{0.__class__.__mro__}'.format('') }}" + _TURNS,
    "the format of a class by map": "{{ '{0.__class__}'.format_map({'0': 1}) }}" + _TURNS,
    "an include": "{% include '/etc/passwd' %}" + _TURNS,
    "an import": "{% import 'os' as os %}{{ os }}" + _TURNS,
    "an extension": "{% do messages.append({}) %}{% extends 'x' %}" + _TURNS,
    "changes to the turns": "{{ messages.append({'role': 'user'}) }}{{ messages.clear() }}" + _TURNS,
    "an exception": "{{ raise_exception('\x1b]0;owned\x07\n::error::owned') }}",
    "an exception of a megabyte": "{{ raise_exception('x' * 1000000) }}",
    "no text": "{{ none }}",
    "not the turns": "{{ 1 / 0 }}",
    "escapes in the text": "\x1b[2J\x1b]52;c;YQ==\x07" + _TURNS,
    "deep brackets": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}" + _TURNS,
    "deep blocks": "{% if 1 %}" * 5_000 + _TURNS + "{% endif %}" * 5_000,
    "a template of 20 MB": _TURNS + "{{ 'a' }}" * 2_000_000,
    "a text of 20 MB": _TURNS + "x" * 20_000_000,
    "a replacement that grows": "{{ ('a' * 100000) | replace('a', 'a' * 100000) }}" + _TURNS,
    "a sort of products": "{{ (range(99999)|list * 1000) | sort | length }}" + _TURNS,
    "a regular waste": "{{ ('a' * 30000000) | wordwrap(1) | length }}" + _TURNS,
    "another text for the prompt alone": (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"
        "{% if 'zebra' not in messages[0]['content'] %}" + _nested(3) + "{% endif %}"
    ),
}
_HARMLESS = {"the format of a class by map", "escapes in the text"}


def _own(text: str) -> Callable[[Path], None]:
    return lambda folder: written(folder / "template.jinja", text.replace("CANARY", str(folder / CANARY)))


def _of_base(text: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        written(copy_of_base(folder) / "chat_template.jinja", text.replace("CANARY", str(folder / CANARY)))

    return build


def _spec_with(text: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        _own(text)(folder)
        spec(folder, "{name: m, kind: multi_turn_coherence_decay, prompts: [Who?], follow_ups: [And?]}",
             top="defaults: {chat_template: template.jinja}")  # fmt: skip

    return build


def _arguments(folder: Path) -> None:
    top = "defaults: {chat_template_kwargs: {messages: [], tokenize: true, x: '{{ 1 }}'}}"
    spec(folder, top=top)


CASES = [
    *(Case("template", name, _own(text), template_door, "either") for name, text in TEMPLATES.items()),
    *(Case("template", f"of the base, {name}", _of_base(TEMPLATES[name]), base_door, "either")
      for name in ("nested loops", "a text of 10**9", "globals of a global", "a template of 20 MB", "an include")),
    *(Case("template", f"of a run, {name}", _spec_with(TEMPLATES[name]), whole_run)
      for name in ("nested loops", "a text that doubles", "an exception")),
    Case("template", "arguments that replace the turns", _arguments, dry_run),
]  # fmt: skip
