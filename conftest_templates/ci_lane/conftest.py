"""In GitHub Actions a failed gate is also an annotation of the run."""

import os


def pytest_sway_report(config, suites):
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return None
    return [
        f"::error title={_escaped('sway ' + suite.suite, ':,')}::{_escaped(reason)}"
        for suite in suites
        if suite.gate.failed
        for reason in suite.gate.reasons
    ]


def _escaped(text, also=""):
    """As GitHub reads it back: an annotation is one line, and in its title ":" and "," would end it."""
    for char in "%\r\n" + also:  # the % first: the others are written with one
        text = text.replace(char, f"%{ord(char):02X}")
    return text
