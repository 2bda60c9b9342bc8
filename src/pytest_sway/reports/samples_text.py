"""Answers of base and adapter side by side: lines for a terminal, and Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_sway.reports.markdown_table import escape
from pytest_sway.result import Claim, ProbeResult, SuiteResult
from pytest_sway.text.width import clean, fold

_FIELDS = ("prompt", "gold", "base", "adapter")
_NAMES = {"prompt": "asked", "gold": "taught", "base": "base", "adapter": "adapter"}
_INDENT = 9


@dataclass(frozen=True)
class AnswerPair:
    """What base and adapter answer to a question.

    Attributes:
        prompt: the question.
        gold: the answer that was taught; empty where there is none.
        base, adapter: their answers.
        gain: how much nearer to the gold the adapter's answer is; without a gold, how much it differs.
    """

    prompt: str
    gold: str
    base: str
    adapter: str
    gain: float


def answer_pairs(probe: ProbeResult) -> list[AnswerPair]:
    """The samples of a probe's evidence that are whole; a saved result may hold anything."""
    rows = probe.evidence.get("samples")
    return [pair for row in rows if (pair := _pair(row)) is not None] if isinstance(rows, list) else []


def sample_probes(suite: SuiteResult) -> list[ProbeResult]:
    """The probes that show answers."""
    return [probe for probe in suite.probes if probe.claim is Claim.DESCRIPTION and answer_pairs(probe)]


def terminal(probe: ProbeResult, columns: int = 80) -> list[str]:
    """Lines for a terminal, the best first; none wider than ``columns``."""
    lines = [*fold(clean(probe.message), columns)]
    for number, pair in enumerate(answer_pairs(probe), start=1):
        lines += ["", f"{number}. {gain_text(pair)}"]
        lines += [line for name, text in named_texts(pair) for line in _field_lines(name, text, columns)]
    return lines


def markdown(probe: ProbeResult) -> list[str]:
    """The lines of a Markdown section's body."""
    lines = [escape(probe.message)]
    for number, pair in enumerate(answer_pairs(probe), start=1):
        lines += ["", f"**{number}. {gain_text(pair)}**", ""]
        lines += [f"- {name}: {escape(text)}" for name, text in named_texts(pair)]
    return lines


def _pair(row: Any) -> AnswerPair | None:
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in _FIELDS):
        return None
    gain = row.get("gain")
    if isinstance(gain, bool) or not isinstance(gain, int | float):
        return None
    return AnswerPair(row["prompt"], row["gold"], row["base"], row["adapter"], float(gain))


def named_texts(pair: AnswerPair) -> Iterator[tuple[str, str]]:
    """What there is of a pair, each with its name."""
    for field in _FIELDS:
        text = getattr(pair, field)
        if text or field != "gold":
            yield _NAMES[field], text or "(nothing)"


def gain_text(pair: AnswerPair) -> str:
    """What the adapter made of the answer, in words."""
    if pair.base == pair.adapter:
        return "word for word the same"
    if not pair.gold:
        return f"{abs(pair.gain):.0%} other words"
    if pair.gain == 0:
        return "as close to the taught answer as the answer of the base model"
    closeness = "closer to" if pair.gain > 0 else "farther from"
    return f"{abs(pair.gain):.0%} {closeness} the taught answer"


def _field_lines(name: str, text: str, columns: int) -> Iterator[str]:
    first, *rest = fold(clean(text), max(20, columns - _INDENT)) or [""]
    yield f"{name:<{_INDENT - 1}} {first}"
    yield from (" " * _INDENT + line for line in rest)
