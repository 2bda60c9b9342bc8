"""Evaluates the real-model set: ``python -m … .evaluate FOLDER [--document second] [--profile quick] …``.

One pytest run over all adapters, 8 nulls each, the paraphrases being the wordings that were held out. Reports
stay in the folder, so that a run cut short goes on. Prints a verdict for each adapter and kind, and what
contradicts the expected verdicts, by the half that the rules were chosen on and the half that confirms them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.known_adapters.battery import FIRST, SECOND, Texts, read, spec
from tests.known_adapters.evaluation import Report, composite, passed, verdicts
from tests.known_adapters.expected_verdicts import PROBES

from .expected import CHOSEN_ON, EXPECTED, ORDER, SOUND

DOCUMENTS: Mapping[str, Texts] = {"first": FIRST, "second": SECOND}
PRE_RUN = ("gradient_ghost", "training_drift")
"""Nothing is wrong with these adapters' training; most have no training folder, and skip."""
QUICK_CANNOT_PASS = frozenset({"paraphrase_invariance"})
"""Four cases, which are all that ``quick`` looks at, say nothing of other wordings that could pass."""


def main() -> int:
    """Evaluate what has no report yet; 1 where a verdict contradicts what is known."""
    parser = argparse.ArgumentParser(prog="evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--document", choices=DOCUMENTS, default="first")
    parser.add_argument("--profile", choices=("quick", "standard", "thorough"), default="quick")
    parser.add_argument("--only", nargs="+", choices=EXPECTED, default=list(EXPECTED), metavar="NAME")
    asked = parser.parse_args()
    folder: Path = asked.folder.absolute()
    names = [name for name in asked.only if (folder / name / "adapter_config.json").is_file()]
    if not names:
        parser.error(
            f"{folder} holds none of the adapters: python -m tests.known_adapters.real_model {folder}"
        )
    reports = _reports(folder, names, DOCUMENTS[asked.document], asked.profile)
    undecided = QUICK_CANNOT_PASS if asked.profile == "quick" else frozenset()
    wrong = {name: contradictions(name, report, undecided) for name, report in reports.items()}
    sys.stdout.write(_table(reports))
    for half, chosen in (("chosen on", True), ("confirming", False)):
        here = {name: found for name, found in wrong.items() if (name in CHOSEN_ON) is chosen}
        lines = [f"- {name}: {line}" for name, found in here.items() for line in found]
        sys.stdout.write("\n".join([f"\nContradictions, {half}: {len(lines)}", *lines, ""]))
    scores = {name: composite(report) for name, report in reports.items()}
    known = [pair for pair in ORDER if set(pair) <= scores.keys()]
    inverted = [
        f"{high} {scores[high]:.2f}, {low} {scores[low]:.2f}"
        for high, low in known
        if scores[high] <= scores[low]
    ]
    sys.stdout.write(f"\nComposites out of order: {'; '.join(inverted) or 'none'} of {len(known)} pairs\n")
    return 1 if inverted or any(wrong.values()) else 0


def suite_spec(texts: Texts, base: Path, profile: str) -> dict[str, Any]:
    """The battery with every option at its default, and the held-out wordings as paraphrases."""
    whole = spec(texts, base, runs=8, profile=profile)
    questions = [q for found in read(texts.folder / "questions.yaml").values() for q in found]
    held_out = {q["question"]: q["held_out"] for q in questions}
    for entry in whole["suite"]:
        entry.pop("max_new_tokens", None)
        entry.pop("context_lengths", None)
        if entry["kind"] in ("paraphrase_invariance", "adapter_revert"):
            entry["cases"] = [{**case, "paraphrases": held_out[case["prompt"]]} for case in entry["cases"]]
    return whole


def contradictions(name: str, report: Report, undecided: Collection[str] = ()) -> list[str]:
    """What a report says that the maker would not; a kind that the profile does not measure says nothing.

    Kinds that are ``undecided`` may warn.
    """
    found = verdicts(report)
    lines = [
        f"{kind}: {found[kind]}, expected {' or '.join(sorted(allowed))}"
        for kind, allowed in EXPECTED[name].allowed.items()
        if found.get(kind, "skip") not in {*allowed, "skip", *(["warn"] if kind in undecided else [])}
    ]
    lines += [f"{kind}: fail" for kind in PRE_RUN if found.get(kind) == "fail"]
    if passed(report) and name not in SOUND:
        lines.append("the gate let it through")
    if name == "healthy" and not passed(report):
        lines.append("the gate did not let it through")
    return lines


def _reports(folder: Path, names: list[str], texts: Texts, profile: str) -> dict[str, Report]:
    """A report an adapter, by one pytest run over those that have none."""
    kept = folder / f"reports-{profile}"
    kept.mkdir(exist_ok=True)
    missing = [name for name in names if not (kept / f"{name}.json").is_file()]
    if missing:
        whole = suite_spec(texts, folder / "base", profile)
        (folder / "sway.yaml").write_text(yaml.safe_dump(whole), "utf-8")
        (kept / "new").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "pytest", "sway.yaml", "--rootdir=.", "-p", "no:cacheprovider", "-q"]
        command += [f"--sway-json={kept / 'new'}", *(f"--sway-adapter={folder / name}" for name in missing)]
        env = {**os.environ, "HF_HUB_OFFLINE": "1"}
        subprocess.run(command, cwd=folder, env=env, check=False)
        for path in (kept / "new").glob("*.json"):
            report = json.loads(path.read_text("utf-8"))
            path.rename(kept / f"{Path(report['adapter_id']).name}.json")
    return {name: json.loads((kept / f"{name}.json").read_text("utf-8")) for name in names}


def _table(reports: Mapping[str, Report]) -> str:
    """A row an adapter: composite, gate, and every kind's verdict with its score."""
    lines = [f"| adapter | composite | gate | {' | '.join(PROBES)} |", "| --- " * (3 + len(PROBES)) + "|"]
    for name, report in reports.items():
        by_name = {probe["name"]: probe for probe in report["probes"]}
        cells = [_cell(by_name.get(kind)) for kind in PROBES]
        gate = "passed" if passed(report) else "failed"
        lines.append(f"| {name} | {composite(report):.2f} | {gate} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(probe: Mapping[str, Any] | None) -> str:
    if probe is None or probe["verdict"] == "skip":
        return "-"
    return probe["verdict"] + (f" {probe['score']:.2f}" if probe["score"] is not None else "")


if __name__ == "__main__":
    sys.exit(main())
