"""Small chat templates in the manner of well-known ones, and tokenizers that have them."""

from __future__ import annotations

from copy import copy
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import processors
from transformers import AutoTokenizer

BASE = Path(__file__).parents[2] / "examples" / "quickstart" / "base"

DATED = (
    "{{ bos_token }}"
    "{% if date_string is not defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "<|head|>system<|body|>\nToday is {{ date_string }}.<|eos|>"
    "{% for m in messages %}<|head|>{{ m['role'] }}<|body|>\n{{ m['content'] | trim }}<|eos|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|body|>\n{% endif %}"
)
"""A system turn with the date, unless it is given one (Llama 3)."""
ALTERNATING = (
    "{{ bos_token }}{% for m in messages %}"
    "{% set is_user = m['role'] == 'user' %}{% if is_user != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if is_user %}[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}<|eos|>{% endif %}"
    "{% endfor %}"
)
"""Markers of plain text; raises on a system turn and on two turns of one side (Mistral)."""
SYSTEM_FIRST = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set start = messages[0]['content'] + '\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set start = '' %}{% endif %}{% for m in messages %}"
    "<|head|>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ start if loop.first else '' }}{{ m['content'] | trim }}<|eos|>\n{% endfor %}<|head|>model\n"
)
"""The system turn's text stands in the user's turn, and the assistant has another name (Gemma)."""
THINKING = (
    "{% for m in messages %}{% set said = m['content'] %}"
    "{% if m['role'] == 'assistant' and '</think>' in said %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "<|head|>{{ m['role'] }}\n{{ said }}<|eos|>\n{% endfor %}<|head|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
)
"""Thoughts of earlier turns are left out; ``enable_thinking: false`` writes an empty block (Qwen 3)."""
OPEN_THOUGHT = (
    "{% for m in messages %}<|head|>{{ m['role'] }}\n{{ m['content'] }}<|eos|>{% endfor %}<think>\n"
)
"""Every answer begins with a thought (QwQ, DeepSeek-R1)."""
MARKED_BY_BOS = (
    "{% for m in messages %}{{ bos_token }}{{ m['role'] }}\n{{ m['content'] }}<|eos|>\n{% endfor %}"
    "{{ bos_token }}assistant\n"
)
"""The beginning-of-text token is what marks a turn (SmolLM 2)."""
PARTS = (
    "{{ bos_token }}{% for m in messages %}<|head|>{{ m['role'] | capitalize }}: "
    "{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}<image>{% endif %}"
    "{% endfor %}<|eos|>\n{% endfor %}<|head|>Assistant:"
)
"""Contents are lists of parts (SmolVLM, Idefics 3)."""
EITHER = (
    "{% for m in messages %}<|head|>{{ m['role'] }}: "
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|eos|>{% endfor %}"
)
"""Contents are strings or lists of parts (Llama 4)."""
WITH_TOOLS = (
    "{% if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
    "{% for m in messages %}<|head|>{{ m['role'] }}\n{{ m['content'] }}<|eos|>{% endfor %}"
)


def loop(content: str) -> str:
    """A template whose turns hold what the expression gives."""
    return "{% for m in messages %}<|head|>{{ m['role'] }}\n{{ " + content + " }}<|eos|>{% endfor %}"


def tokenizer_of(template: str | None, *, adds_bos: bool = True) -> Any:
    """The quickstart's tokenizer with two more control tokens and this template."""
    tokenizer = copy(_tokenizer(adds_bos=adds_bos))
    tokenizer.chat_template = template
    return tokenizer


@cache
def _tokenizer(*, adds_bos: bool) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|head|>", "<|body|>"]})
    if not adds_bos:
        tokenizer.backend_tokenizer.post_processor = processors.Sequence([])
    return tokenizer
