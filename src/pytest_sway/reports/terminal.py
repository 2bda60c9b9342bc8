"""The terminal summary: first what a person needs, then the numbers behind it.

A suite becomes lines of a given width, whether pytest runs or a result was read back; :func:`show` writes
them where pytest reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest

from pytest_sway.reports import null_text, skipped_probes
from pytest_sway.reports.baseline_text import baseline_lines
from pytest_sway.reports.headline import headline
from pytest_sway.reports.suite_text import factors, footer, label, legend, weighted_components
from pytest_sway.reports.terminal_table import Line, Span, cells_as_line, cells_of, probe_rows
from pytest_sway.result import MEASURED_VERDICTS, ProbeResult, SuiteResult
from pytest_sway.text import formatting
from pytest_sway.text.paths import tail
from pytest_sway.text.width import (
    clean,
    fold,
    keep_end,
    log_lines,
    pad,
    shorten,
    transliterate,
    width,
    without_control_characters,
)

NARROWEST = 60
"""A narrower terminal breaks the lines by itself."""
_COLOURS = {"noise": "red", "partial": "yellow", "healthy": "green", "suspicious": "purple"}
_BAR = 20
_CATEGORY = 16
_ITEM = 40
_PROMPT = 200


def show(
    writer: pytest.TerminalReporter,
    suites: Sequence[SuiteResult],
    measured: Sequence[tuple[str, ProbeResult]],
) -> None:
    """Write a section per suite, and one for what code-first tests measured."""
    verbosity = writer.config.get_verbosity()
    terminal = writer.config.get_terminal_writer()
    # pytest does not tell its stream; without an encoding every letter is taken to be there
    encoding = getattr(getattr(terminal, "_file", None), "encoding", None) or "utf-8"
    columns = max(NARROWEST, terminal.fullwidth)
    for suite in suites:
        if verbosity >= 0:
            writer.write_sep("=", transliterate(keep_end(f"sway: {label(suite)}", columns - 4), encoding))
        for line in lines(suite, columns, verbosity):
            for span in line:
                writer.write(transliterate(span.text, encoding), **dict.fromkeys(span.markup, True))
            writer.line("")
    if measured and verbosity >= 0:
        writer.write_sep("-", "sway: measured in tests")
        for nodeid, result in measured:
            text = f"{nodeid}: {result.name} {cells_as_line(cells_of(result, {}))}"
            for line in map(_without_commands, _text(text, columns, "", "  ")):
                writer.write_line(transliterate(line[0].text, encoding))


def lines(suite: SuiteResult, columns: int, verbosity: int = 0) -> Iterator[Line]:
    """A suite's report, with the gate last.

    Args:
        suite: the result.
        columns: width of the terminal; no line is wider than it, or than 60.
        verbosity: pytest's: below 0 the verdict alone, above 0 all that is known of every probe.
    """
    yield from map(_without_commands, _report_lines(suite, max(NARROWEST, columns), verbosity))


def _report_lines(suite: SuiteResult, columns: int, verbosity: int) -> Iterator[Line]:
    top = headline(suite)
    look = (_colour(suite), "bold")
    if verbosity < 0:
        yield from _text(f"{top.status} {label(suite)}: {top.answer}", columns, "", "  ", *look)
        for warning in suite.warnings:
            yield from _text(warning, columns, "  • ", "    ")
    else:
        yield from _text(f"{top.status}: {top.answer}", columns, "", "  ", *look)
        if top.sure:
            yield from _text(top.sure, columns, "  ", "  ")
        for reason in top.reasons:
            yield from _text(reason, columns, "  • ", "    ")
        if not suite.not_evaluated:
            yield from _body(suite, columns, top.reasons, verbosity)
    for line, markup in baseline_lines(suite.baseline, verbosity) if suite.baseline else ():
        yield from _laid_out_line(line, columns, *markup)
    yield from _gate(suite, columns)


def _body(suite: SuiteResult, columns: int, reasons: Sequence[str], verbosity: int) -> Iterator[Line]:
    """The numbers behind the headline, and notes on them; ``reasons``: the headline's."""
    yield ()
    yield from _scores(suite, columns)
    yield ()
    yield from probe_rows(suite, columns, [_notes(probe, reasons, verbosity) for probe in suite.probes])
    yield from _text(legend(suite), columns, "", "  ", "light") if legend(suite) else ()
    yield ()
    for sentence in _sentences(suite, verbosity):
        yield from _text(sentence, columns, "", "  ")
    yield from _text(footer(suite), columns, "", "  ", "light")


def _colour(suite: SuiteResult) -> str:
    if suite.gate.failed:
        return "red"
    return "yellow" if suite.gate.is_partial else _COLOURS.get(suite.score.band, "yellow")


def _scores(suite: SuiteResult, columns: int) -> Iterator[Line]:
    """The composite among its nulls, and the categories that it is made of."""
    score = suite.score
    half = (columns - len("adapter  on ")) // 2
    adapter, base = (keep_end(clean(tail(name)), half) for name in (suite.adapter_id, suite.base_model_id))
    yield (Span(f"adapter {adapter} on {base}"),)
    counted = dict(weighted_components(score))
    names = [shorten(name, _CATEGORY) for name in ("composite", *counted)]
    widest = max(map(width, names))
    values = [score.overall, *counted.values()]
    beside = [null_text.composite_comparison(suite.null_summary)]
    beside += [f"weight {formatting.score(score.weights.get(name))}" for name in counted]
    for number, (name, value, text) in enumerate(zip(names, values, beside, strict=True)):
        bar = pad("█" * round(min(1.0, max(0.0, value)) * _BAR), _BAR).replace(" ", "░")
        colour = (_colour(suite),) if not number else ()
        figure = f"{pad(name, widest)} {pad(formatting.score(value), 4, right=True)} "
        free = columns - width(figure) - _BAR - 1
        yield Span(figure), Span(bar, colour), Span(f" {text}" if text and width(text) <= free else "")
        if width(text) > free:
            yield from _text(text, columns, "  ", "  ")
    if text := factors(score):
        yield from _text(text, columns, "", "  ")


def _notes(probe: ProbeResult, reasons: Sequence[str], verbosity: int) -> list[str]:
    """The message, or a pointer to the headline that has it; with -v all that is known."""
    ranks = null_text.rank_profile(probe)
    if verbosity <= 0:
        above = probe.message and any(_has_message(reason, probe) for reason in reasons)
        return [text for text in ("(see above)" if above else probe.message, ranks) if text]
    values = f"base model {formatting.raw(probe.base_value)}, with adapter {formatting.raw(probe.ft_value)}"
    known = probe.base_value is not None or probe.ft_value is not None
    found = [probe.message, values if known else "", _extremes(probe), null_text.probe_sentence(probe)]
    return [text for text in [*found, ranks, _prompt(probe)] if text]


def _has_message(reason: str, probe: ProbeResult) -> bool:
    """Whether a reason gives the probe's whole message behind its name."""
    names, found, rest = reason.partition(f": {probe.message}")
    return bool(found) and (not rest or rest.startswith("; ")) and probe.name in re.split(", | and ", names)


def _extremes(probe: ProbeResult) -> str:
    """The items with the least and the most."""
    known = [(one.value, one.item) for one in probe.samples if one.value is not None and one.item]
    if len(known) < 2:
        return ""
    ordered = sorted(known, key=lambda pair: pair[0])
    return "; ".join(
        f"{word} {formatting.raw(value)} on {shorten(item, _ITEM)!r}"
        for word, (value, item) in (("least", ordered[0]), ("most", ordered[-1]))
    )


def _prompt(probe: ProbeResult) -> str:
    """The first prompt as the model read it."""
    text = probe.evidence.get("rendered_prompt")
    return (
        f"first prompt as the model read it: {shorten(repr(text), _PROMPT)}" if isinstance(text, str) else ""
    )


def _sentences(suite: SuiteResult, verbosity: int) -> Iterator[str]:
    """Notes on the suite as a whole."""
    if verbosity > 0:
        yield from null_text.suite_sentences(suite.null_summary)
    if line := skipped_probes.pip_line(suite.probes):
        names = [probe.name for probe in suite.probes if "missing_extra" in probe.evidence]
        yield f"skipped because an extra is not installed: {', '.join(names)} ({line})"
    if text := null_text.not_calibrated_sentence(suite.null_summary):
        yield text
    silent = [probe for probe in suite.probes if probe.verdict in MEASURED_VERDICTS and not _says_no_z(probe)]
    for reason, names in skipped_probes.no_z_reasons(silent).items():
        yield f"no z for {', '.join(names)}: {reason}"
    yield from (f"note: {note}" for note in suite.notes)


def _says_no_z(probe: ProbeResult) -> bool:
    """Whether its message tells why its nulls gave none."""
    return probe.null is not None and probe.null.reason in probe.message


def _gate(suite: SuiteResult, columns: int) -> Iterator[Line]:
    status, reasons = suite.gate.status, suite.gate.reasons
    if status == "passed":
        yield (Span("GATE PASSED", ("green", "bold")),)
    elif status == "failed":
        yield from _text(f"GATE FAILED {label(suite)}", columns, "", "  ", "red", "bold")
        for reason in reasons:
            yield from _text(reason, columns, "  - ", "    ")
    else:
        yield from _text(f"not gated: {'; '.join(reasons) or 'the result has no gate'}", columns, "", "  ")


def _without_commands(line: Line) -> Line:
    """The line without what GitHub's runner would execute; its spans keep their lengths."""
    text = "".join(span.text for span in line)
    kept = log_lines(text)
    if kept == text:
        return line
    spans, start = [], 0
    for span in line:
        end = start + len(span.text)
        spans.append(Span(kept[start:end], span.markup))
        start = end
    return tuple(spans)


def _laid_out_line(line: str, columns: int, *markup: str) -> Iterator[Line]:
    """A line that is laid out already, as it is where it fits."""
    if width(line) <= columns:
        yield (Span(without_control_characters(line), markup),)
    else:
        yield from _text(line, columns, " " * (len(line) - len(line.lstrip())), " " * 6, *markup)


def _text(text: str, columns: int, first: str, then: str, *markup: str) -> Iterator[Line]:
    """A text in lines: what stands before the first, and before the others."""
    for number, line in enumerate(fold(text, columns - len(then), columns - len(first))):
        yield (Span((then if number else first) + line, markup),)
