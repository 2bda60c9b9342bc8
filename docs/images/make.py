"""``python docs/images/make.py``: the README's picture, the healthy adapter's HTML report in Chromium.

Needs the extras ``hf`` and ``viz``, Playwright and a browser ($SWAY_BROWSER, else chromium).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
TARGET = Path(__file__).with_name("report.png")


def main() -> None:
    """Evaluate the quickstart, and take the picture."""
    browser = os.environ.get("SWAY_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "report.html"
        spec = str(ROOT / "examples" / "quickstart" / "sway.yaml")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", spec, f"--sway-html={page_file}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1100, "height": 900}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.wait_for_timeout(1000)  # plotly draws
        page.screenshot(path=str(TARGET))
        chromium.close()


if __name__ == "__main__":
    main()
