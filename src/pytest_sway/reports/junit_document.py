"""A saved result as JUnit XML, in dlm-sway's form: a testcase for each probe, and one for the gate."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pytest_sway.reports.junit import suite_properties
from pytest_sway.result import ProbeResult, SuiteResult, Verdict
from pytest_sway.text.width import clean

_GATE = "gate"


_NO_XML = str.maketrans({"\ufffe": "\ufffd", "\uffff": "\ufffd"})
"""Characters that no XML document may hold, beside those that :func:`clean` takes."""


def text(suite: SuiteResult) -> str:
    """The document, with its XML declaration."""
    verdicts = [probe.verdict for probe in suite.probes]
    failed = suite.gate.status == "failed"
    root = Element(
        "testsuite",
        name=clean(suite.suite or "sway"),
        tests=str(len(suite.probes) + 1),
        failures=str(verdicts.count(Verdict.FAIL) + failed),
        errors=str(verdicts.count(Verdict.ERROR)),
        skipped=str(verdicts.count(Verdict.SKIP)),
        time=f"{suite.wall_seconds:.3f}",
        timestamp=clean(suite.started_at),
    )
    properties = SubElement(root, "properties")
    for name, value in suite_properties(suite).items():
        SubElement(properties, "property", name=clean(name), value=clean(value))
    for probe in suite.probes:
        _testcase(root, probe)
    case = SubElement(root, "testcase", classname=_GATE, name=_GATE)
    if failed:
        reasons = "; ".join(map(clean, suite.gate.reasons))
        SubElement(case, "failure", message=reasons).text = reasons
    indent(root)
    document = tostring(root, encoding="unicode").translate(_NO_XML)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{document}\n'


def _testcase(root: Element, probe: ProbeResult) -> None:
    case = SubElement(
        root,
        "testcase",
        classname=clean(probe.kind),
        name=clean(probe.name),
        time=f"{probe.duration_s or 0.0:.3f}",
    )
    tags = {Verdict.FAIL: "failure", Verdict.ERROR: "error", Verdict.SKIP: "skipped"}
    message = clean(probe.message)
    if tag := tags.get(probe.verdict):
        SubElement(case, tag, message=message).text = message
    elif probe.verdict is Verdict.WARN:
        SubElement(case, "system-out").text = f"WARN {message}"
