"""The daemon's page in a real Chromium: from the list of runs to a run's report."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.serve.conftest import KEY, Daemon
from tests.serve.test_daemon import PATH, small_spec

pytestmark = pytest.mark.slow


def test_a_browser_gives_the_key_as_a_password(daemon: Daemon, browser: Browser) -> None:
    for password, status in ((KEY, 200), ("wrong", 401)):
        context = browser.new_context(http_credentials={"username": "any", "password": password})
        answer = context.new_page().goto(daemon.url)
        assert answer is not None
        assert answer.status == status
        context.close()


def test_runs_and_their_reports(daemons, browser: Browser) -> None:
    daemon = daemons(key="")
    page, errors, hosts = browser.new_page(), list[str](), set[str]()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(daemon.url)
    expect(page.get_by_text("none yet")).to_be_visible()
    spec = small_spec()
    hostile = "<img src=x onerror=document.title=1>.yaml"
    run = daemon.client.run(spec, PATH.with_name(hostile))["run_id"]
    page.reload()
    expect(page.get_by_text("quickstart/base")).to_be_visible()
    expect(page.get_by_role("cell", name=hostile)).to_be_visible()
    assert page.title() == "sway serve"
    page.get_by_role("link", name=run).click()
    expect(page.get_by_role("button", name="moved", exact=True)).to_be_visible()
    assert errors == []
    assert hosts == {f"127.0.0.1:{daemon.port}"}
    page.close()
