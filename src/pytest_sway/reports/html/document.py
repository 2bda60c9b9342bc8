"""One HTML file that needs nothing else: style, script and figures are inside, and nothing is let in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from string import Template

from pytest_sway.reports.html import page_parts
from pytest_sway.reports.html.escaping import escape_html, script_json
from pytest_sway.reports.html.figure import Figure
from pytest_sway.result import JSON
from pytest_sway.suites.json_conversion import json_value

NEEDS = "the page needs plotly: pip install 'pytest-sway[viz]'"
Section = tuple[str, str, str]
"""Its id, its heading, its HTML."""


def plotly_script() -> str:
    """The library that draws.

    Raises:
        ValueError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ValueError(NEEDS) from None
    script: str = get_plotlyjs()
    return script


def document(
    title: str,
    top: str,
    sections: Sequence[Section],
    figures: Sequence[Figure],
    plotly: str,
    details: Sequence[JSON] = (),
) -> str:
    """The file.

    Args:
        title: of the window.
        top: HTML above the sections.
        sections: that have something to show.
        figures: that the sections hold.
        plotly: the library that draws.
        details: of the rows of a table of probes, by number.
    """
    script = asset("page.js")
    drawn = {figure.id: json_value({"traces": figure.traces, "layout": figure.layout}) for figure in figures}
    return Template(asset("page.html")).substitute(
        title=escape_html(title),
        sources=" ".join(map(_source, (script, plotly))),
        style=asset("page.css"),
        script=script,
        top=top,
        contents=page_parts.contents((id_, name) for id_, name, _ in sections),
        sections="\n".join(page_parts.section(*section) for section in sections),
        data=script_json({"figures": drawn, "probes": list(details)}),
        plotly=plotly,
    )


def asset(name: str) -> str:
    """A file of this package."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def _source(script: str) -> str:
    """A script that the page's policy lets run, by its digest: an injected one has another."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"
