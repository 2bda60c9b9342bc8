"""The report as GitHub's Markdown: for a file, a pull request, or a job's summary."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_sway.reports import null_text, skipped_probes
from pytest_sway.reports.baseline_text import baseline_lines
from pytest_sway.reports.headline import headline
from pytest_sway.reports.markdown_table import code, escape, table
from pytest_sway.reports.samples_text import markdown as samples_markdown
from pytest_sway.reports.samples_text import sample_probes
from pytest_sway.reports.suite_text import backend, band_text, components, determinism, factors, label, legend
from pytest_sway.reports.terminal_table import cells_of
from pytest_sway.result import BaselineComparison, Gate, ProbeResult, SuiteResult, Verdict
from pytest_sway.text import formatting
from pytest_sway.text.paths import tail
from pytest_sway.text.width import clean, log_lines

_CASES = 20


def text(suite: SuiteResult) -> str:
    """The whole report, ending in a newline."""
    sections = [
        ("# sway report", _top(suite)),
        ("## Components", _components(suite)),
        ("## Probes", _probes(suite)),
        ("## Top findings", [f"{n}. {escape(found)}" for n, found in enumerate(suite.score.findings, 1)]),
        ("## Skipped probes", _skipped(suite.probes)),
        ("## Null-calibration opt-outs", _by_reason(null_text.not_calibrated_reasons(suite.null_summary))),
        ("## Degenerate null calibration", _by_reason(skipped_probes.no_z_reasons(suite.probes))),
        ("## Against null adapters", _null_rows(suite)),
        ("## Cluster breakdown (cluster_kl)", _clusters(suite.probes)),
        ("## Bad cases", _cases(suite.probes)),
        ("## Answers", [line for probe in sample_probes(suite) for line in samples_markdown(probe)]),
        ("## Against the baseline", _baseline(suite.baseline)),
        ("## Notes", [f"- {escape(note)}" for note in suite.notes]),
    ]
    blocks = ["\n".join([heading, "", *body]) for heading, body in sections if body]
    return "\n\n".join(blocks) + "\n"


def _top(suite: SuiteResult) -> list[str]:
    """What a person needs, why the gate holds or does not, and schema 1's header lines."""
    top = headline(suite)
    lines = [f"**{top.status}**: {escape(top.answer)}", ""]
    lines += [escape(top.sure), ""] if top.sure else []
    lines += [f"- {escape(reason)}" for reason in top.reasons]
    return [*lines, "", *_gate(suite.gate), *_header(suite)]


def _gate(gate: Gate) -> list[str]:
    if gate.status == "passed":
        return ["**GATE PASSED**", ""]
    if gate.failed:
        return ["**GATE FAILED**", "", *(f"- {escape(reason)}" for reason in gate.reasons), ""]
    return [f"Not gated: {escape(reason)}" for reason in gate.reasons] + [""] * bool(gate.reasons)


def _header(suite: SuiteResult) -> list[str]:
    overall = f"`{formatting.score(suite.score.overall)}` {code(band_text(suite))}"
    facts = {
        "Overall": "" if suite.not_evaluated else overall,
        "Suite": escape(label(suite)),
        "Base": escape(tail(suite.base_model_id)),
        "Adapter": escape(tail(suite.adapter_id)),
        "Wall": "" if suite.not_evaluated else formatting.duration(suite.wall_seconds),
        "Determinism": escape(determinism(suite.determinism)) if suite.determinism else "",
        "Backend": escape(backend(suite.backend_stats)),
    }
    return [f"**{name}**: {fact}  " for name, fact in facts.items() if fact]


def _components(suite: SuiteResult) -> list[str]:
    rows = []
    for name, value in components(suite.score):
        weight = suite.score.weights.get(name)
        note = "(informational, weight=0)" if weight == 0 else ""
        rows.append([name, formatting.score(value), formatting.score(weight), note])
    if not rows:
        return []
    below = [null_text.composite_comparison(suite.null_summary), factors(suite.score)]
    return [
        *table(["category", "score", "weight", "note"], rows, ["note"]),
        *(f"\n{escape(line)}" for line in below if line),
    ]


def _probes(suite: SuiteResult) -> list[str]:
    rows = []
    for probe in suite.probes:
        cells = cells_of(probe, suite.null_stats)
        numbers = [cells[name] for name in ("score", "raw", "95 %", "z", "time")]
        rows.append([probe.name, probe.kind, probe.verdict, *numbers, probe.message])
    names = ["name", "kind", "verdict", "score", "raw", "ci95", "z", "duration", "note"]
    below = ["", escape(legend(suite))] if legend(suite) else []
    return [*table(names, rows, ["kind", "verdict", "note"]), *below] if rows else []


def _skipped(probes: Sequence[ProbeResult]) -> list[str]:
    line = skipped_probes.pip_line(probes)
    return [*_by_reason(skipped_probes.skip_reasons(probes)), *([f"\n{code(line)}"] if line else [])]


def _by_reason(reasons: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"- {escape(', '.join(names))}: {escape(reason)}" for reason, names in reasons.items()]


def _null_rows(suite: SuiteResult) -> list[str]:
    """Every z with the nulls that it rests on."""
    rows = []
    for probe in suite.probes:
        n = cells_of(probe, suite.null_stats)["n"]
        if n != formatting.DASH:
            rows.append([probe.name, n, formatting.z(probe.z_score), null_text.probe_sentence(probe)])
    sentences = [f"{escape(sentence)}\n" for sentence in null_text.suite_sentences(suite.null_summary)]
    return [*sentences, *(table(["name", "n", "z", "nulls"], rows, ["nulls"]) if rows else [])]


def _baseline(baseline: BaselineComparison | None) -> list[str]:
    """What changed since: the terminal's lines, each an item of a list below the one it belongs to."""
    if baseline is None:
        return []
    lines = [line for line, _ in baseline_lines(baseline, 1)]
    outer = len(lines[0]) - len(lines[0].lstrip())
    return [f"{' ' * (len(line) - len(line.lstrip()) - outer)}- {escape(line)}" for line in lines]


def _clusters(probes: Sequence[ProbeResult]) -> list[str]:
    rows = []
    for probe in probes:
        keys = ("per_cluster_size", "per_cluster_mean_kl", "cluster_exemplars")
        sizes, means, exemplars = (_list(probe.evidence.get(key)) for key in keys)
        for number, (size, mean, examples) in enumerate(zip(sizes, means, exemplars, strict=False)):
            texts = "; ".join(map(str, examples)) if isinstance(examples, list) else str(examples)
            mean = formatting.raw(mean) if isinstance(mean, int | float) else formatting.DASH
            rows.append([str(number), str(size), mean, texts])
    return table(["cluster", "size", "mean KL", "exemplars"], rows, ["exemplars"]) if rows else []


def _cases(probes: Sequence[ProbeResult]) -> list[str]:
    """What a failing probe shows of its bad cases, folded away."""
    lines: list[str] = []
    for probe in probes:
        cases = [case for case in _list(probe.evidence.get("bad_cases")) if isinstance(case, dict)]
        if probe.verdict is not Verdict.FAIL or not cases:
            continue
        first = f", the worst {_CASES}" if len(cases) > _CASES else ""
        lines += [
            f"<details><summary>{html.escape(log_lines(clean(probe.name)))}: {len(cases)}{first}</summary>",
            "",
        ]
        rows = [[str(case.get(key, "")) for key in ("prompt", "reference")] for case in cases[:_CASES]]
        lines += [*table(["prompt", "reference"], rows, ["reference"]), "", "</details>", ""]
    return lines[:-1]


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []
