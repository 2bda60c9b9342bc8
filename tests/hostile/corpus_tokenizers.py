"""Tokenizers whose rules do not end, whose ids have no row, or that pad a word to a terabyte."""

# ruff: noqa: E501 - a case stands on a line of its own
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import Answer, Case, written
from tests.hostile.doors import ADAPTER, BASE, base_door, copy_of_adapter, copy_of_base, model_and_adapter

_BOMB = "([a-z]+)+[A-Z]"
_LONG = "a" * 4000


def _edited(change: Callable[[dict[str, Any]], object], where: str = "base") -> Callable[[Path], None]:
    """The quickstart's tokenizer.json after a change."""

    def build(folder: Path) -> None:
        target = copy_of_base(folder) if where == "base" else copy_of_adapter(folder)
        rules = json.loads((BASE / "tokenizer.json").read_text("utf-8"))
        change(rules)
        written(target / "tokenizer.json", json.dumps(rules))
        if where == "adapter":
            for name in ("tokenizer_config.json", "chat_template.jinja"):
                shutil.copy(BASE / name, target)

    return build


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _pre(pattern: str) -> Callable[[dict[str, Any]], object]:
    def change(rules: dict[str, Any]) -> None:
        rules["pre_tokenizer"] = {
            "type": "Sequence",
            "pretokenizers": [_split(pattern), rules["pre_tokenizer"]],
        }

    return change


def _normalizer(pattern: str, content: str) -> Callable[[dict[str, Any]], object]:
    def change(rules: dict[str, Any]) -> None:
        rules["normalizer"] = {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}

    return change


def _added(content: str, index: int) -> Callable[[dict[str, Any]], object]:
    def change(rules: dict[str, Any]) -> None:
        token = {"id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                 "normalized": False, "special": True}  # fmt: skip
        rules["added_tokens"].append(token)

    return change


def _vocabulary(index: int) -> Callable[[dict[str, Any]], object]:
    def change(rules: dict[str, Any]) -> None:
        rules["model"]["vocab"]["hostile"] = index

    return change


def _field(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda rules: rules.update({name: value})


_PADDING = {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "<pad>"}  # fmt: skip
_TRUNCATION = {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 10**9}


def long_text(folder: Path) -> Answer:
    """A prompt of four thousand letters."""
    return model_and_adapter(folder, base=folder / "base", prompt=_LONG)


def _adapter(folder: Path) -> Answer:
    return model_and_adapter(folder, adapter=folder / "adapter", prompt=_LONG)


def _config(**fields: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        base = copy_of_base(folder)
        own = json.loads((base / "tokenizer_config.json").read_text("utf-8"))
        written(base / "tokenizer_config.json", json.dumps({**own, **fields}))

    return build


def _raw(content: bytes) -> Callable[[Path], None]:
    return lambda folder: written(copy_of_base(folder) / "tokenizer.json", content)


CASES = [
    Case("tokenizer", "a pattern of Split that backtracks", _edited(_pre(_BOMB)), long_text, "either"),
    Case("tokenizer", "a pattern of Replace that backtracks", _edited(_normalizer(_BOMB, "b")), long_text, "either"),
    Case("tokenizer", "an adapter's pattern that backtracks", _edited(_pre(_BOMB), "adapter"), _adapter, "either"),
    Case("tokenizer", "a pattern that is none", _edited(_pre("((")), long_text),
    Case("tokenizer", "a replacement that grows", _edited(_normalizer(".", "a" * 1_000_000)), long_text, "either"),
    Case("tokenizer", "an added token of control characters", _edited(_added("\x1b]0;owned\x07", 4095)), base_door, "either"),
    Case("tokenizer", "an adapter's token of control characters", _edited(_added("\x1b[2J\u202e", 4096), "adapter"), _adapter, "either"),
    Case("tokenizer", "an empty added token", _edited(_added("", 4095)), base_door, "either"),
    Case("tokenizer", "an id of 2**32-1", _edited(_vocabulary(2**32 - 1)), base_door, "either"),
    Case("tokenizer", "an id of 2**64", _edited(_vocabulary(2**64)), base_door),
    Case("tokenizer", "a negative id", _edited(_vocabulary(-1)), base_door),
    Case("tokenizer", "an adapter's id of 2**31", _edited(_vocabulary(2**31), "adapter"), _adapter),
    Case("tokenizer", "an added token's id of 2**32-1", _edited(_added("<hostile>", 2**32 - 1)), base_door, "either"),
    Case("tokenizer", "a padding to 10**12", _edited(_field("padding", _PADDING)), base_door, "either"),
    Case("tokenizer", "a padding to 10**12 of an adapter", _edited(_field("padding", _PADDING), "adapter"), _adapter, "either"),
    Case("tokenizer", "a truncation to nothing", _edited(_field("truncation", _TRUNCATION)), base_door, "either"),
    Case("tokenizer", "an unknown pre-tokenizer", _edited(_field("pre_tokenizer", {"type": "Python", "code": "1"})), base_door),
    Case("tokenizer", "no model", _edited(lambda rules: rules.pop("model")), base_door),
    Case("tokenizer", "deep nesting", _raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), base_door),
    Case("tokenizer", "not JSON", _raw(b"\x00\xff"), base_door),
    Case("tokenizer", "a length of 10**30", _config(model_max_length=10**30), base_door, "harmless"),
    Case("tokenizer", "a length that is text", _config(model_max_length="__import__('os')"), base_door, "either"),
    Case("tokenizer", "special tokens that are maps", _config(bos_token={"__type": "Evil", "content": "x"}), base_door, "either"),
    Case("tokenizer", "a special token of escapes", _config(bos_token="\x1b]52;c;YQ==\x07"), base_door, "either"),
    Case("tokenizer", "a chat template that is a map", _config(chat_template={"default": 1}), base_door, "either"),
    Case("tokenizer", "the adapter is a tokenizer", lambda folder: shutil.copytree(BASE, folder / "adapter"), _adapter),
    Case("tokenizer", "the sound one", lambda folder: shutil.copytree(ADAPTER, folder / "adapter"), _adapter, "harmless"),
]  # fmt: skip
