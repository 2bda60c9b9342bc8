"""The page: one file that needs nothing else, with plotly's figures (extra ``viz``)."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from string import Template

from pytest_sway.reports.html import page_parts, probe_figures, suite_figures
from pytest_sway.reports.html.answers import answers
from pytest_sway.reports.html.document import Section, asset, document, plotly_script
from pytest_sway.reports.html.escaping import escape_html, text_tree
from pytest_sway.reports.html.figure import Figure
from pytest_sway.reports.samples_text import sample_probes
from pytest_sway.reports.suite_text import legend
from pytest_sway.result import JSON, ProbeResult, SuiteResult
from pytest_sway.suites.json_conversion import to_json


def text(suite: SuiteResult) -> str:
    """The page of a suite: about 5 MB, of which plotly takes 4.8.

    Raises:
        ValueError: plotly is not installed.
    """
    return page(suite, plotly_script())


def page(suite: SuiteResult, plotly: str) -> str:
    """The page with ``plotly`` as the library that draws."""
    figures: list[Figure] = []
    sections = list(_sections(suite, figures))
    title = f"{suite.gate.status}: {page_parts.title(suite)} (pytest-sway)"
    details = [_detail(probe) for probe in suite.probes]
    return document(title, page_parts.top(suite), sections, figures, plotly, details)


def _sections(suite: SuiteResult, figures: list[Figure]) -> Iterator[Section]:
    """Those that have something to show; their figures go into ``figures``."""

    def panel(*candidates: Figure | None) -> str:
        present = [figure for figure in candidates if figure is not None]
        figures.extend(present)
        return page_parts.figure_group(present) if present else ""

    if composite := panel(suite_figures.gauge(suite), suite_figures.categories(suite)):
        yield "score", "Score", composite
    if suite.baseline is not None:
        yield "baseline", "Since the baseline", page_parts.baseline(suite.baseline)
    if suite.probes:
        yield "probes", "Probes", _probes(suite)
    if shown := sample_probes(suite):
        yield "answers", "Answers", "".join(map(answers, shown))
    distributions = probe_figures.null_distributions(suite.probes)
    scatter = suite_figures.score_by_z(suite.probes)
    sentences = page_parts.sentences(suite)
    if sentences or distributions or scatter is not None:
        symbols = '<p class="legend">Circles are null adapters. The diamond is this adapter.</p>'
        body = sentences + panel(scatter) + symbols * bool(distributions) + panel(*distributions)
        yield "nulls", "Against random adapters", body
    if by_section := panel(*probe_figures.sections(suite.probes)):
        yield "sections", "Section by section", by_section
    if along := panel(*probe_figures.curves(suite.probes)):
        yield "curves", "Curves", along
    yield "run", "The run", page_parts.run(suite)


def _probes(suite: SuiteResult) -> str:
    return Template(asset("probes.html")).substitute(
        verdicts=page_parts.verdicts(suite.probes),
        wanting=page_parts.missing_extras(suite.probes),
        headings=page_parts.headings(),
        legend=escape_html(legend(suite)),
        count=len(suite.probes),
        rows="\n".join(
            page_parts.probe(probe, number, suite.null_stats) for number, probe in enumerate(suite.probes)
        ),
    )


def _detail(probe: ProbeResult) -> JSON:
    """What an opened row shows; six digits of an item's value are enough to order items by."""
    values = [_six_digits(sample.value) for sample in probe.samples]
    return {
        "items": [sample.item for sample in probe.samples],
        "values": values,
        "texts": text_tree(values),
        "evidence": text_tree(probe.evidence),
        "null": {} if probe.null is None else text_tree(to_json(probe.null)),
    }


def _six_digits(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(f"{value:.6g}")
