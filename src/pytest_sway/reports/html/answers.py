"""Answers of base and adapter side by side, as a section of the page."""

from __future__ import annotations

from pytest_sway.reports.html.escaping import escape_html
from pytest_sway.reports.samples_text import answer_pairs, gain_text, named_texts
from pytest_sway.result import ProbeResult


def answers(probe: ProbeResult) -> str:
    """Its body: a list of definitions for each question."""
    parts = [f"<p>{escape_html(probe.message)}.</p>"]
    for number, pair in enumerate(answer_pairs(probe), start=1):
        rows = "".join(f"<dt>{name}</dt><dd>{escape_html(text)}</dd>" for name, text in named_texts(pair))
        parts.append(f"<h3>{number}. {escape_html(gain_text(pair))}</h3><dl>{rows}</dl>")
    return "".join(parts)
