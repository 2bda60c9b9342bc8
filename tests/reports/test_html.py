"""The page without a browser: its structure, its figures, and that no text of others becomes part of it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from pytest_sway.reports.html import page, probe_figures, suite_figures, text
from pytest_sway.reports.html.escaping import escape_html, escape_label, script_json
from pytest_sway.result import Claim, Gate, NullSummary, ProbeResult, SuiteResult, Verdict
from pytest_sway.suites.saved_results import read_saved_result
from tests.support.report_pages import DRAWS, moved, null, probes, suite
from tests.support.saved_results import DLM_SWAY_RESULT
from tests.support.suite_results import NULLS

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    '$style ${script} %{x} <b>&lt;b&gt;</b> <a href="javascript:alert(1)">',
    "]]> \ud800 \x00 \u2028",
]
VOID = {"meta", "input", "wbr"}


class Structure(HTMLParser):
    """What a parser of HTML makes of a page."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def within(self, tag: str) -> list[str]:
        return [data for name, data in self.texts if name == tag]

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]


def read_page(shown: SuiteResult) -> Structure:
    return Structure(page(shown, "let plotly;"))


def data_of(found: Structure) -> dict[str, Any]:
    """The JSON that the page's script reads: the second of three scripts."""
    content: dict[str, Any] = json.loads(found.within("script")[1])
    return content


def test_the_structure_holds() -> None:
    found = read_page(suite())
    assert found.open == []
    assert found.of("html") == [{"lang": "en"}]
    assert len(found.ids) == len(set(found.ids))
    named = ["aria-labelledby", "aria-describedby", "aria-controls"]
    for _, attributes in found.tags:
        assert {str(attributes[name]) for name in named if name in attributes} <= set(found.ids)
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") in ("col", "row") for attributes in found.of("th"))
    assert len(found.of("figure")) == len(found.of("figcaption")) == len(data_of(found)["figures"])
    assert {tag for tag, _ in found.tags} >= {"main", "nav", "header"}


def test_every_panel_is_there_with_dlm_sways_ids() -> None:
    found = read_page(suite())
    wanted = {
        "sway-gauge",
        "sway-category",
        "sway-sis",
        "sway-ablation",
        "sway-scatter",
        "sway-null",
        "sway-recall",
    }
    assert wanted <= set(found.ids)
    assert set(data_of(found)["figures"]) == {*wanted, "sway-null-2"}
    assert len([1 for name in found.ids if re.fullmatch(r"probe-\d", name)]) == 6


def test_panels_without_data_are_left_out() -> None:
    skipped = ProbeResult("absent", "gradient_ghost", Verdict.SKIP, "nothing was kept")
    found = read_page(suite(skipped, null_summary=None))
    assert set(data_of(found)["figures"]) == {"sway-category"}
    assert not {"nulls", "sections", "curves"} & set(found.ids)
    empty = suite(score=replace(suite().score, components={}, weights={}))
    none = read_page(replace(empty, probes=(), null_summary=None))
    assert data_of(none) == {"figures": {}, "probes": []}
    assert not none.of("table")
    assert "could not be measured" in " ".join(none.within("p")).lower()


def test_one_line_installs_what_probes_lack() -> None:
    lacking = ProbeResult("p", "cluster_kl", Verdict.SKIP, "no", evidence={"missing_extra": "semsim"})
    assert read_page(suite(lacking)).within("code") == ["pip install 'pytest-sway[semsim]'"]
    assert not read_page(suite()).of("code")


def test_a_result_of_dlm_sway_is_shown() -> None:
    found = read_page(read_saved_result(DLM_SWAY_RESULT))
    assert set(data_of(found)["figures"]) == {"sway-gauge", "sway-category", "sway-scatter", "sway-ablation"}
    assert "moved" in found.within("button")


@given(st.text(), st.text(), st.text())
@example(HOSTILE[0], HOSTILE[1], HOSTILE[2])
@example(HOSTILE[3], HOSTILE[4], HOSTILE[5])
@example(HOSTILE[6], HOSTILE[1], HOSTILE[0])
@settings(max_examples=30)
def test_no_text_of_others_becomes_part_of_the_page(name: str, message: str, item: str) -> None:
    def tags(shown: SuiteResult) -> list[tuple[str, list[str]]]:
        skeleton = [(tag, sorted(attributes)) for tag, attributes in read_page(shown).tags if tag != "wbr"]
        return [one for one in skeleton if one[0] != "p"]  # an empty message has no paragraph

    plain, hostile = moved("n", "m", "i"), moved(name, message, item)
    section = {"section_id": item, "effective_sis": 0.4}
    hostile = replace(hostile, evidence={**hostile.evidence, "per_section": [section], item: message})
    plain = replace(plain, evidence={**plain.evidence, "per_section": [{**section, "section_id": "s"}]})
    ill = suite(hostile, adapter_id=f"a{name}", notes=(f"n{message}",))
    assert tags(ill) == tags(suite(plain, adapter_id="a", notes=("n",)))
    page(ill, "").encode("utf-8")


@pytest.mark.parametrize("hostile", HOSTILE[:-1])
def test_hostile_texts_are_shown_as_they_are(hostile: str) -> None:
    found = read_page(suite(moved(hostile, hostile, hostile)))
    assert "".join(found.within("button")).count(hostile) == 1
    assert hostile in "".join(found.within("td"))
    content = data_of(found)
    assert content["probes"][0]["items"][0] == hostile
    assert content["probes"][0]["evidence"]["note"] == hostile
    (points,) = content["figures"]["sway-scatter"]["traces"]
    label = points["customdata"][0][0]
    assert "<" not in label
    assert html.unescape(label) == hostile


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner), max_leaves=6))
def test_data_in_a_script_is_the_same_and_ends_nothing(value: Any) -> None:
    written = script_json(value)
    assert json.loads(written) == value
    assert not set("<>&\u2028") & set(written)


def test_labels_are_one_line_and_cut() -> None:
    assert escape_label("a\n  b<c>&") == "a b&lt;c&gt;&amp;"
    assert escape_label("abcdef", 4) == "abc…"
    assert escape_html('\ud800"<') == "?&quot;&lt;"


def test_nothing_is_fetched_and_only_its_own_scripts_run() -> None:
    found = read_page(suite())
    links = [a[name] for _, a in found.tags for name in ("src", "href", "action", "data") if name in a]
    assert links
    assert all(str(link).startswith("#") and str(link)[1:] in found.ids for link in links)
    (policy,) = [a["content"] for a in found.of("meta") if "http-equiv" in a]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data: blob:"
    first, _, last = found.within("script")
    digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in (first, last)]
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    ours = page(suite(), "")
    assert "http:" not in ours
    assert "https:" not in ours
    assert "@import" not in ours
    assert "url(" not in ours


def test_the_gauge_has_bands_and_the_gates_threshold() -> None:
    figure = suite_figures.gauge(suite())
    assert figure is not None
    (dial,) = figure.traces
    assert dial["value"] == 0.42
    assert [step["range"] for step in dial["gauge"]["steps"]] == [[0.0, 0.3], [0.3, 0.6], [0.6, 1.0]]
    assert dial["gauge"]["threshold"]["value"] == 0.6
    assert figure.caption.startswith(
        "Composite 0.42: partial. The gate needs at least 0.60 (the line across the dial)."
    )
    ungated = suite_figures.gauge(suite(gate=Gate("unknown", None)))
    assert ungated is not None
    assert "threshold" not in ungated.traces[0]["gauge"]


def test_categories_show_weights_and_the_means_factors() -> None:
    figure = suite_figures.categories(suite())
    assert figure is not None
    assert figure.rows == [("adherence", "0.90", "0.30"), ("attribution", "0.50", "0.35")]
    assert figure.traces[0]["x"] == [0.9, 0.5]
    assert (
        "Composite = weighted mean of the categories × effect factor 1.00 × no-harm factor 0.60"
        in figure.caption
    )


def test_categories_stand_in_dlm_sways_order_as_everywhere() -> None:
    score = replace(suite().score, components={"ablation": 0.1, "attribution": 0.5, "adherence": 0.9})
    figure = suite_figures.categories(suite(score=score))
    assert figure is not None
    assert [row[0] for row in figure.rows] == ["adherence", "attribution", "ablation"]


def test_the_composite_stands_among_its_nulls() -> None:
    figure = suite_figures.gauge(suite(null_summary=NullSummary(nulls=NULLS)))
    assert figure is not None
    assert figure.caption.startswith(
        "Composite 0.42: partial (effects 0.75, 20 random adapters ≤ 0.25). The gate needs"
    )


def test_every_z_has_the_number_of_its_nulls_beside_it() -> None:
    found = read_page(suite(replace(moved(), z_score=4.5, null=null(n=17))))
    cells = found.within("td")
    assert cells[cells.index("+4.50σ") + 1] == "17"
    assert "+4.50σ, n 17" in found.within("dd")
    assert "n" in found.within("th")
    assert "3" in read_page(read_saved_result(DLM_SWAY_RESULT)).within("td")


def test_uncalibrated_probes_are_reported_without_nulls_too() -> None:
    for probe in (moved(), replace(moved(), null=None, z_score=None)):
        summary = NullSummary(not_calibrated={"recital": "it has a margin"})
        found = read_page(suite(probe, null_summary=summary))
        assert "Not compared with random (null) adapters: recital (it has a margin)" in found.within("li")


def test_what_has_no_z_is_named_and_not_plotted() -> None:
    figure = suite_figures.score_by_z(probes())
    assert figure is not None
    assert {(x, y) for trace in figure.traces for x, y in zip(trace["x"], trace["y"], strict=True)} == {
        (4.5, 0.9),
        (2.0, 0.5),
    }
    assert "not drawn because they have no z: recital (0.30), strength (1.00)." in figure.caption
    assert len({trace["marker"]["symbol"] for trace in figure.traces}) == len(figure.traces) == 2


def test_sections_have_their_intervals_and_the_threshold() -> None:
    learned, recited = probe_figures.sections(probes())
    (bars,) = learned.traces
    assert bars["x"] == [0.4, 0.1]
    assert bars["error_x"]["array"] == pytest.approx([0.2, 0.05])
    assert bars["error_x"]["arrayminus"] == pytest.approx([0.1, 0.1])
    assert learned.layout["shapes"][0]["x0"] == 0.05
    assert learned.rows[1] == ("two", "0.100", "[0.000, 0.150]", "unclear")
    assert recited.rows == [("one", "0.800", "0.100")]


def test_the_adapter_stands_where_its_statistic_is() -> None:
    effect, shape = probe_figures.null_distributions(probes())
    draws, mark = effect.traces
    assert draws["x"] == list(DRAWS)
    assert mark["x"] == pytest.approx([0.18])
    assert effect.layout["xaxis"]["type"] == "log"
    assert effect.layout["xaxis"]["tickvals"] == pytest.approx([0.01, 0.02, 0.05, 0.1, 0.2])
    assert effect.caption == (
        "Beyond all 4 random adapters (norm_matched), which range from 0.015 to 0.030, p 3.4e-06, "
        "8.0× their mean; z +4.50σ. "
        "The adapter 0.180, mean of the null adapters 0.022, standard deviation 0.006."
    )
    assert shape.id == "sway-null-2"
    assert shape.caption.startswith("Its signal, against 2 random adapters (norm_matched); no z, few.")


def test_nulls_of_both_signs_have_a_plain_axis() -> None:
    around = replace(moved(), null=null(draws=(-0.1, 0.1), mean=0.0, ratio=None, scale="raw"))
    (figure,) = probe_figures.null_distributions([around])
    _, mark = figure.traces
    assert mark["x"] == [0.18]  # raw is what the nulls are asked for; it needs no ratio
    assert figure.rows[0] == ("the adapter", "0.180")
    assert figure.caption.endswith(
        "The adapter 0.180, mean of the null adapters 0.000, standard deviation 0.006."
    )
    assert "type" not in figure.layout["xaxis"]


def test_a_statistic_other_than_raw_is_marked_by_its_ratio() -> None:
    named = replace(moved(), raw=0.5, evidence={"null_statistic": "gain"})
    shape = replace(moved(), raw=0.5, claim=Claim.SHAPE)
    for probe in (named, shape):
        (figure,) = probe_figures.null_distributions([probe])
        assert figure.traces[1]["x"] == pytest.approx([0.18])
        (figure,) = probe_figures.null_distributions([replace(probe, null=null(mean=0.0, ratio=None))])
        assert len(figure.traces) == 1
        assert figure.caption.endswith(". Mean of the null adapters 0.000, standard deviation 0.006.")
        assert "—" not in figure.caption


def test_samples_at_the_limits_of_a_double_are_plotted() -> None:
    for draws in ([5e-324, 1e-300], [1e300, 1.7e308]):
        assert probe_figures.null_distributions([replace(moved(), null=null(draws=draws))])


@pytest.mark.parametrize("bad", [None, "x", [], [1.0], [0.0, "x"], [True, False], [[1], [2]], {"a": 1}])
def test_evidence_of_another_shape_draws_nothing(bad: Any) -> None:
    lists = {"lambdas": bad, "mean_divergence_per_lambda": bad, "per_section": bad}
    rows = {"per_section": [{"effective_sis": bad, "clean_recall": bad}, bad]}
    found = [ProbeResult("p", "k", Verdict.PASS, "m", evidence=one) for one in (lists, rows)]
    assert probe_figures.curves(found) == []
    assert probe_figures.sections(found) == []


def test_a_curve_says_its_interval() -> None:
    (figure,) = probe_figures.curves(probes())
    assert (figure.traces[0]["x"], figure.traces[0]["y"]) == ([0.0, 0.5, 1.0], [0.0, 0.05, 0.2])
    assert (
        figure.caption == "strength: rises with λ. Raw value 2.000, 95 % interval [1.800, 2.200]. "
        "The line marks the adapter at full strength (λ = 1)."
    )


def luminance(colour: str) -> float:
    """Of sRGB, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_texts_have_contrast(mode: int) -> None:
    style = (files("pytest_sway.reports.html") / "page.css").read_text(encoding="utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    colours = {name: (light, dark)[mode] for name, light, dark in pairs}
    texts = ["text", "muted", "link", *Verdict]
    checked = [(text, ground) for text in texts for ground in ("ground", "panel")]
    checked += [("text", f"band-{band}") for band in ("noise", "partial", "healthy")]
    for text_, ground in checked:
        low, high = sorted([luminance(colours[text_]), luminance(colours[ground])])
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text_, ground)
    for mark in ("bar", "accent", "muted"):
        low, high = sorted([luminance(colours[mark]), luminance(colours["panel"])])
        assert (high + 0.05) / (low + 0.05) >= 3, mark


def test_our_part_of_the_page(snapshot: SnapshotAssertion) -> None:
    content = page(suite(), "")
    main = content[content.index("<body>") : content.index("<script type=")]
    assert main.replace("><", ">\n<") == snapshot


def test_plotly_stands_in_the_page_once() -> None:
    from plotly.offline import get_plotlyjs

    content = text(suite())
    assert content.count(get_plotlyjs()) == 1
    assert "</script" not in get_plotlyjs().lower()
    assert "<!--" not in get_plotlyjs()


def test_the_page_is_written_one_for_each_suite(project: pytest.Pytester) -> None:
    project.runpytest("--sway-html=deep/out.html")
    written = (project.path / "deep" / "out.html").read_text(encoding="utf-8")
    assert '<p class="status healthy">PASSED</p>' in written
    assert "Plotly, Inc." in written


def test_without_plotly_it_is_reported_before_anything_runs(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plotly", "plotly.offline"):
        monkeypatch.setitem(sys.modules, name, None)
    found = project.runpytest("--sway-html=out.html")
    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines(
        ["*--sway-html=out.html: the page needs plotly: pip install 'pytest-sway[[]viz]'"]
    )
    with pytest.raises(ValueError, match="the page needs plotly"):
        text(suite())
