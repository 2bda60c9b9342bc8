"""The page in a real Chromium: it clicks, types and reads; no error in the console, no request to a host."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pytest_sway.reports.html import text
from pytest_sway.result import SuiteResult
from tests.support.paths import ROOT
from tests.support.report_pages import moved, probes, suite

pytestmark = pytest.mark.slow
WIDTHS = [1280, 1110, 400]
SCHEMES = ["light", "dark"]
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=1</script>'


@dataclass
class Opened:
    """A page, and what must stay empty; ``wanted`` is an error that the test itself provokes."""

    page: Page
    wanted: str
    errors: list[str]
    requests: list[str]


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a suite; afterwards nothing may have gone wrong in it."""
    opened: list[Opened] = []

    def start(
        shown: SuiteResult | None = None, width: int = 1280, scheme: str = "light", wanted: str = "\0"
    ) -> Page:
        file = tmp_path / "page.html"
        file.write_text(text(suite() if shown is None else shown), encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        one = Opened(page, wanted, [], [])
        opened.append(one)
        page.set_default_timeout(5000)
        page.on("console", lambda message: one.errors.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: one.errors.append(str(error)))
        page.on("request", lambda request: one.requests.append(request.url))
        page.goto(file.as_uri())
        return page

    yield start
    for one in opened:
        assert [error for error in one.errors if one.wanted not in error] == []
        assert [url for url in one.requests if not url.startswith(("file:", "data:", "blob:"))] == []
        one.page.close()


def shown_names(page: Page) -> list[str]:
    return page.locator(".opener:visible").all_inner_texts()


def plots(page: Page) -> None:
    """Scroll every figure into sight, and wait until it is rendered."""
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        expect(plot.locator("svg.main-svg").first).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_everything_is_shown_and_fits(open_page: Open, width: int, scheme: str) -> None:
    path = "/" + "folder" * 20
    page = open_page(suite(moved(message=f"there is no {path}"), *probes()[1:]), width, scheme)
    expect(page.get_by_role("heading", level=1)).to_have_text("out/adapter on base")
    plots(page)
    for name in ("moved", "recital"):
        page.get_by_role("button", name=name, exact=True).click()
    overflow = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    needed, there = page.evaluate(overflow)
    assert needed <= there == width
    table, section = page.locator("#probe-table").bounding_box(), page.locator("#probes").bounding_box()
    assert table is not None
    assert section is not None
    assert table["width"] <= section["width"]
    for mark in ("category .bars path", "sis .bars path", "null .points path", "gauge .angular path"):
        expect(page.locator(f"#sway-{mark}").first).to_be_visible()  # no style of the page hides it
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    assert dark == (scheme == "dark")


def test_a_row_opens_by_click_and_by_keyboard(open_page: Open) -> None:
    page = open_page()
    moved_, recital = (page.get_by_role("button", name=name, exact=True) for name in ("moved", "recital"))
    expect(moved_).to_have_attribute("aria-expanded", "false")
    moved_.click()
    expect(moved_).to_have_attribute("aria-expanded", "true")
    details = page.locator("#probe-0")
    expect(details.get_by_role("heading", name="Items (3)")).to_be_visible()
    expect(details.get_by_role("row", name="a prompt 0.100")).to_be_visible()
    moved_.click()
    expect(details).to_be_hidden()
    recital.focus()
    for key in ("Enter", "Space", "Enter"):
        page.keyboard.press(key)
    expect(recital).to_have_attribute("aria-expanded", "true")
    cases = page.locator("#probe-2 .tree details").first
    cases.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(cases.get_by_role("cell", name="with the end")).to_be_visible()


def test_items_are_sorted_by_value_and_back(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="moved", exact=True).click()
    details = page.locator("#probe-0")
    header = details.get_by_role("columnheader", name="Value")
    orders = []
    for _ in range(3):
        header.get_by_role("button").click()
        names = details.locator(".scroll").first.locator("tbody th").all_inner_texts()
        orders.append((header.get_attribute("aria-sort"), names))
    assert orders == [
        ("ascending", ["another", "a prompt", "c"]),
        ("descending", ["c", "a prompt", "another"]),
        (None, ["a prompt", "another", "c"]),
    ]


def test_cases_are_sorted_by_words_missing_ones_last(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="recital", exact=True).click()
    cases = page.locator("#probe-2 .tree details").first
    cases.locator("summary").click()
    button = cases.get_by_role("columnheader", name="reference").get_by_role("button")
    orders = []
    for _ in range(2):
        button.click()
        orders.append(cases.locator("tbody tr td:nth-child(1)").all_inner_texts())
    assert orders == [["Go", "Begin", "Stay"], ["Begin", "Go", "Stay"]]


def test_probes_are_sorted_missing_ones_last(open_page: Open) -> None:
    page = open_page()
    table = page.locator("#probe-table")
    verdict = table.get_by_role("columnheader", name="Verdict").get_by_role("button")
    score = table.get_by_role("columnheader", name="Score").get_by_role("button")
    verdict.click()
    assert shown_names(page) == ["recital", "broken", "sections", "absent", "moved", "strength"]
    score.click()
    assert shown_names(page) == ["recital", "sections", "moved", "strength", "broken", "absent"]
    score.press("Enter")
    assert shown_names(page) == ["strength", "moved", "sections", "recital", "broken", "absent"]


def test_probes_are_filtered_by_verdict_and_text(open_page: Open) -> None:
    page = open_page()
    count = page.locator("#count")
    expect(count).to_have_attribute("aria-live", "polite")
    page.get_by_role("checkbox", name="pass (2)").uncheck()
    assert shown_names(page) == ["sections", "recital", "broken", "absent"]
    expect(count).to_have_text("4 of 6 probes")
    page.get_by_role("searchbox").fill("HARM recall")
    assert shown_names(page) == ["recital"]
    expect(count).to_have_text("1 of 6 probes")
    page.keyboard.press("Enter")
    page.get_by_role("searchbox").fill("nothing of the kind")
    expect(count).to_have_text("0 of 6 probes")


def test_dark_mode_is_remembered_and_figures_follow(open_page: Open) -> None:
    page = open_page()
    plots(page)
    button = page.get_by_role("button", name="Dark")
    tick = page.locator("#sway-category .xtick text").first
    light = tick.evaluate("element => getComputedStyle(element).fill")
    button.press("Space")
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    expect(tick).to_have_css("fill", "rgb(230, 237, 243)")
    assert light == "rgb(31, 35, 40)"
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "false")


def test_paper_is_light_and_has_every_figure(open_page: Open) -> None:
    page = open_page(scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("#sway-ablation svg.main-svg").first).to_be_attached()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"


def test_the_keyboard_reaches_every_control(open_page: Open) -> None:
    page = open_page(suite(moved()))
    reached: list[str] = []
    while True:
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        active = page.evaluate("document.activeElement.innerText || document.activeElement.id")
        reached.append(" ".join(active.split()))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", active
        assert len(reached) < 60
    assert reached[0] == "Skip to the result"
    assert {"Score", "Probes", "Dark", "words", "moved", "Verdict", "z"} <= set(reached)


def test_a_screen_reader_finds_everything(open_page: Open) -> None:
    page = open_page()
    expect(page.get_by_role("banner")).to_match_aria_snapshot("""
        - banner:
          - paragraph: pytest-sway
          - navigation "On this page":
            - list:
              - listitem:
                - link "Score"
          - button "Dark"
    """)
    main = page.get_by_role("main")
    expect(main).to_match_aria_snapshot("""
        - main:
          - heading "out/adapter on base" [level=1]
          - region "Score":
            - heading "Score" [level=2]
            - figure "Composite":
              - heading "Composite" [level=3]
              - img "Composite"
          - region "Probes":
            - search "Filter the probes":
              - group "Verdict":
                - checkbox "fail (1)" [checked]
              - searchbox "Text in name, kind, category or message"
              - status: 6 of 6 probes
            - table
    """)
    columns = page.locator("#probe-table").get_by_role("columnheader").all_inner_texts()
    assert columns == ["Verdict", "Probe", "What it found", "Score", "Raw", "95 % interval", "z", "n", "Time"]
    table = page.locator("#probe-table")
    expect(table.get_by_role("row", name="recital")).to_contain_text("fail")
    expect(table.get_by_role("rowheader", name="recital")).to_be_visible()


def test_hostile_texts_do_nothing_but_stand_there(open_page: Open) -> None:
    page = open_page(suite(moved(HOSTILE, HOSTILE, HOSTILE), adapter_id=HOSTILE))
    plots(page)
    page.locator(".opener").first.click()
    expect(page.locator("#probe-0").get_by_role("rowheader", name=HOSTILE)).to_be_visible()
    page.locator("#sway-scatter .points path").first.hover(force=True)
    expect(page.locator("#sway-scatter .hovertext")).to_contain_text("<img src=x onerror=")
    assert page.locator("img, a[href^=javascript]").count() == 0
    assert page.title().startswith("failed: ")


def test_an_injected_script_does_not_run(open_page: Open) -> None:
    """Even if a text did become part of the page: the policy names our two scripts by their digests."""
    page = open_page(wanted="Content Security Policy")
    blocked = page.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", event => done(event.violatedDirective));
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            document.body.append(script);
        })"""
    )
    assert blocked == "script-src-elem"
    assert page.evaluate("window.ran") is None


def test_the_wheel_has_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        f"pytest_sway/reports/html/{name}" for name in ("page.html", "page.css", "page.js", "probes.html")
    } <= names
