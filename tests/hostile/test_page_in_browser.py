"""The page of the worst texts in a real Chromium: no script of theirs runs, nothing leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pytest_sway.reports.html import text as page_text
from pytest_sway.reports.html.series_page import comparison_page
from pytest_sway.suites.comparison_matrix import build_matrix
from tests.hostile.texts import ALL, TEXTS, hostile_suite
from tests.support.report_pages import moved, suite

pytestmark = pytest.mark.slow
_SHORT = {name: text[:400] for name, text in TEXTS.items()}


def _pages() -> dict[str, str]:
    one_each = replace(
        hostile_suite("<b>"),
        probes=tuple(
            replace(
                moved(text, text, text),
                kind=text,
                category=text,
                evidence={text: [{text: text}], "prompt": text},
            )
            for text in _SHORT.values()
        ),
    )
    matrix = build_matrix([suite(), hostile_suite(ALL)], [ALL, f"{ALL}2"])
    return {
        "a probe each": page_text(one_each),
        "everywhere": page_text(hostile_suite(ALL)),
        "compared": comparison_page(matrix, 0.1),
    }


@pytest.mark.parametrize("name", ["a probe each", "everywhere", "compared"])
def test_nothing_runs_and_nothing_leaves(browser: Browser, tmp_path: Path, name: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(_pages()[name], "utf-8")
    page = browser.new_page()
    page.set_default_timeout(30_000)
    requests: list[str] = []
    errors: list[str] = []
    dialogs: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(file.as_uri())
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        expect(plot.locator("svg.main-svg").first).to_be_visible()
    page.evaluate("document.querySelectorAll('.opener, details > summary').forEach(one => one.click())")
    page.evaluate("document.querySelectorAll('.tree details').forEach(one => { one.open = true; })")
    for point in page.locator(".points path").all()[:3]:
        point.hover(force=True)
    assert page.evaluate("[window.ran, document.title === 'ran']") == [None, False]
    assert (
        page.locator("img, iframe, base, object, main script, a[href^='javascript'], main style").count() == 0
    )
    assert page.locator("[onload], [onerror], [onmouseover], [onclick]").count() == 0
    assert page.evaluate("document.querySelectorAll('meta[http-equiv=refresh]').length") == 0
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert requests[0] == file.as_uri()
    assert (dialogs, errors) == ([], [])
    page.close()
