"""The page's pieces of HTML: everything that can be read without a script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_sway.reports import null_text
from pytest_sway.reports.baseline_text import baseline_lines
from pytest_sway.reports.headline import headline
from pytest_sway.reports.html.escaping import escape_html, text_tree
from pytest_sway.reports.html.figure import Figure
from pytest_sway.reports.skipped_probes import pip_line
from pytest_sway.reports.terminal_table import cells_of
from pytest_sway.result import (
    BaselineComparison,
    Digests,
    NullStatistics,
    ProbeResult,
    RunDeterminism,
    SuiteResult,
    Verdict,
)
from pytest_sway.text import formatting
from pytest_sway.text.paths import tail

_SIGNS = {
    Verdict.PASS: "✓",
    Verdict.WARN: "!",
    Verdict.FAIL: "✗",
    Verdict.SKIP: "–",
    Verdict.ERROR: "⚠",
}
_WORST_FIRST = [Verdict.FAIL, Verdict.ERROR, Verdict.WARN, Verdict.SKIP, Verdict.PASS]
_COLUMNS = (
    ("Verdict", "", True),
    ("Probe", "", True),
    ("What it found", "wide words", False),
    ("Score", "num", True),
    ("Raw", "num middle", True),
    ("95 % interval", "num wide", False),
    ("z", "num middle", True),
    ("n", "num wide", False),
    ("Time", "num wide", True),
)
"""Heading, classes (which of them a narrow screen leaves out), and whether one can sort by it."""


def top(suite: SuiteResult) -> str:
    """Healthy or not, how sure, the reasons; and what else the gate says."""
    found = headline(suite)
    tone = {"PASSED": suite.score.band, "FAILED": "noise"}.get(found.status, "none")
    rest = [reason for reason in suite.gate.reasons if reason not in found.reasons]
    gate = f"<h2>The gate</h2>{_list(rest)}" if rest else ""
    sure = f'<p class="sure">{escape_html(_sentence(found.sure))}</p>' if found.sure else ""
    return (
        f'<p class="status {escape_html(tone)}">{escape_html(found.status)}</p>'
        f"<h1>{escape_html(title(suite))}</h1>"
        f'<p class="answer">{escape_html(_sentence(found.answer))}</p>'
        f"{sure}"
        f"{_list(found.reasons)}{gate}"
    )


def title(suite: SuiteResult) -> str:
    """The adapter on its base, by the ends of their paths."""
    return f"{tail(suite.adapter_id)} on {tail(suite.base_model_id)}"


def contents(named: Iterable[tuple[str, str]]) -> str:
    """Links to the page's sections: id and heading of each."""
    return "".join(f'<li><a href="#{id_}">{escape_html(name)}</a></li>' for id_, name in named)


def section(id_: str, name: str, body: str) -> str:
    """A part of the page under a heading of its own."""
    heading = f'<h2 id="{id_}-h">{escape_html(name)}</h2>'
    return f'<section id="{id_}" aria-labelledby="{id_}-h">{heading}{body}</section>'


def figure_group(figures: Iterable[Figure]) -> str:
    """Figures side by side where there is space."""
    return f'<div class="figures">{"".join(map(_figure, figures))}</div>'


def _figure(figure: Figure) -> str:
    id_, name = figure.id, escape_html(figure.title)
    table = ""
    if figure.columns:
        head = "".join(f'<th scope="col">{escape_html(column)}</th>' for column in figure.columns)
        body = "".join(map(_figure_row, figure.rows))
        table = (
            f'<details><summary>Table of the numbers<span class="unseen"> ({name})</span></summary>'
            f'<div class="scroll" tabindex="0" role="group" aria-label="Numbers: {name}">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
        )
    return (
        f'<figure aria-labelledby="{id_}-h"><h3 id="{id_}-h">{name}</h3>'
        f'<div id="{id_}" class="plot" style="height:{figure.height}px" role="img" '
        f'aria-labelledby="{id_}-h" aria-describedby="{id_}-w"></div>'
        f'<figcaption id="{id_}-w">{escape_html(figure.caption)}</figcaption>{table}</figure>'
    )


def _figure_row(row: Sequence[str]) -> str:
    cells = "".join(f"<td>{escape_html(cell)}</td>" for cell in row[1:])
    return f'<tr><th scope="row">{escape_html(row[0])}</th>{cells}</tr>'


def verdicts(probes: Sequence[ProbeResult]) -> str:
    """A box to tick for each verdict that there is."""
    count = Counter(probe.verdict for probe in probes)
    return "".join(
        f'<label><input type="checkbox" name="verdict" value="{verdict}" checked>'
        f"{_verdict(verdict)} ({count[verdict]})</label>"
        for verdict in _WORST_FIRST
        if count[verdict]
    )


def missing_extras(probes: Sequence[ProbeResult]) -> str:
    """What installs all that probes were skipped for want of."""
    line = pip_line(probes)
    return f"<p>To run the probes that were skipped: <code>{escape_html(line)}</code></p>" if line else ""


def headings() -> str:
    """The columns of the probes; a button sorts by one."""
    return "".join(
        f'<th scope="col" class="{classes}"{" data-sortable" * sortable}>{name}</th>'
        for name, classes, sortable in _COLUMNS
    )


def probe(result: ProbeResult, number: int, null_stats: Mapping[str, NullStatistics]) -> str:
    """A row of the table, and below it the row of its details, closed; ``null_stats`` are the suite's."""
    texts = cells_of(result, null_stats)
    search_text = f"{result.name} {result.kind} {result.category} {result.message}".lower()
    opener = (
        f'<button type="button" class="opener" aria-expanded="false" aria-controls="probe-{number}">'
        f"{escape_html(result.name).replace('_', '_<wbr>')}</button>"
    )
    cells = (
        (_verdict(result.verdict), _WORST_FIRST.index(result.verdict)),
        (opener, result.name),
        (escape_html(result.message), None),
        (texts["score"], result.score),
        (texts["raw"], result.raw),
        (texts["95 %"], None),
        (texts["z"], result.z_score),
        (texts["n"], None),
        (texts["time"], result.duration_s),
    )
    row = "".join(
        _cell("th" if place == 1 else "td", classes, *cell)
        for place, ((_, classes, _), cell) in enumerate(zip(_COLUMNS, cells, strict=True))
    )
    return (
        f'<tbody data-verdict="{result.verdict}" data-words="{escape_html(search_text)}"><tr>{row}</tr>'
        f'<tr id="probe-{number}" class="details" hidden><td colspan="{len(_COLUMNS)}">'
        f'{_details(result, texts["n"])}<div data-probe="{number}"></div></td></tr></tbody>'
    )


def _cell(tag: str, classes: str, content: str, sort: object) -> str:
    scope = ' scope="row"' if tag == "th" else ""
    key = "" if sort is None else escape_html(sort)
    return f'<{tag}{scope} class="{classes}" data-key="{key}">{content}</{tag}>'


def _verdict(verdict: Verdict) -> str:
    sign = f'<span aria-hidden="true">{_SIGNS[verdict]}</span>'
    return f'<span class="verdict {verdict}">{sign} {verdict}</span>'


def _details(result: ProbeResult, n: str) -> str:
    texts = [result.message, null_text.probe_sentence(result), null_text.rank_profile(result)]
    if result.not_calibrated:
        texts.append(f"not compared with random (null) adapters: {result.not_calibrated}")
    return (
        f"<h3>{escape_html(result.name)}</h3>"
        + "".join(f"<p>{escape_html(_sentence(text))}</p>" for text in texts if text)
        + pairs(_facts(result, n))
    )


def _facts(result: ProbeResult, n: str) -> Iterator[tuple[str, str]]:
    yield "kind", result.kind
    if result.category:
        yield "category", f"{result.category}, weight {result.weight:g} in it"
    if result.claim:
        yield "claim", result.claim.replace("_", " ")
    yield "score", formatting.score(result.score)
    yield "raw", formatting.raw(result.raw)
    if result.ci_95 is not None:
        yield "95 % interval", formatting.interval(result.ci_95)
    if result.z_score is not None:
        yield (
            "z",
            f"{formatting.z(result.z_score)}, n {n}"
            if n != formatting.DASH
            else formatting.z(result.z_score),
        )
    for name, value in (("base", result.base_value), ("adapter", result.ft_value)):
        if value is not None:
            yield name, formatting.raw(value)
    yield "time", formatting.duration(result.duration_s)


def pairs(facts: Iterable[tuple[str, str]], css_class: str = "pairs") -> str:
    """Names with their values; what is empty is left out. They stand side by side, or one below another."""
    filled = [(name, value) for name, value in facts if value]
    body = "".join(
        f"<div><dt>{escape_html(name)}</dt><dd>{escape_html(value)}</dd></div>" for name, value in filled
    )
    return f'<dl class="{css_class}">{body}</dl>' if body else ""


def run(suite: SuiteResult) -> str:
    """Where, when and on what; notes; what it cost."""
    determinism, digests = suite.determinism or RunDeterminism(), suite.digests or Digests()
    facts: list[tuple[str, Any]] = [
        ("suite", suite.suite),
        ("spec", suite.spec_path),
        ("adapter", suite.adapter_id),
        ("base", suite.base_model_id),
        ("started", suite.started_at),
        ("finished", suite.finished_at),
        ("wall", formatting.duration(suite.wall_seconds)),
        ("determinism", "" if determinism.level is None else determinism.level),
        ("seed", "" if determinism.seed is None else determinism.seed),
        ("digest of the base", digests.base),
        ("digest of the adapter", digests.adapter),
        *((name.replace("_", " "), text_tree(value)) for name, value in suite.backend_stats.items()),
    ]
    notes = [*suite.notes, *determinism.notes]
    return _list(notes) + pairs(((name, str(value)) for name, value in facts), "tree")


def baseline(comparison: BaselineComparison) -> str:
    """What changed, as the terminal shows it."""
    return f"<pre>{escape_html(chr(10).join(line for line, _ in baseline_lines(comparison)))}</pre>"


def sentences(suite: SuiteResult) -> str:
    """What the random adapters say of the whole suite, and what they were not asked about."""
    summary = suite.null_summary
    texts = [*null_text.suite_sentences(summary), null_text.not_calibrated_sentence(summary)]
    return _list([_sentence(text) for text in texts if text])


def _list(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape_html(text)}</li>' for text in texts)}</ul>" if texts else ""


def _sentence(text: str) -> str:
    """With a capital where a word begins it; names and symbols keep theirs."""
    first = text.split(" ", 1)[0].rstrip(",:;.")
    return text[:1].upper() + text[1:] if first.isalpha() and len(first) > 1 else text
