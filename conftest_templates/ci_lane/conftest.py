"""In GitHub Actions a failed gate is also an annotation of the run."""

import os


def pytest_sway_report(config, suites):
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return None
    return [
        f"::error title=sway {suite.suite}::{reason}"
        for suite in suites
        if suite.gate["status"] == "failed"
        for reason in suite.gate["reasons"]
    ]
