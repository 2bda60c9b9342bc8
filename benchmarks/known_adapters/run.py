"""The ward, examined by both sides: adapters whose condition is known, and what each tool says of them.

``python benchmarks/known_adapters/run.py [--seeds 0,1,2] [--documents first,second] [--rival-python PATH]
[--runs 20] [--only NAME,…] [--work DIR] [--out FILE.json]``. Seed 0 on the first document is the ward that
is committed; every other one is trained here first (an hour and a half each) and kept in DIR, as is every
report, so that a run cut short goes on. Prints a table a ward: composite, gate and failed probes of ours
beside dlm-sway's, and every contradiction of the truth table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import dlm_sway_reports
from processes import ROOT, BenchError, environment, find_rival, last_line, ran
from reporting import check_out, write_report

from tests.known_adapters.battery import FIRST, SECOND, Texts, spec
from tests.known_adapters.evaluation import Report, composite, examine, passed, verdicts
from tests.known_adapters.expected_verdicts import TRUTH, contradictions, patients
from tests.support.paths import QUICKSTART

BASE = QUICKSTART / "base"
UNTRAINED = frozenset({"inert", "random"})
"""Patients that depend on no document and no training."""
DOCUMENTS: Mapping[str, Texts] = {"first": FIRST, "second": SECOND}


def main() -> int:
    """Make, examine, tell; 1 where the truth table is contradicted, 2 where the benchmark itself failed."""
    options = _parser().parse_args()
    try:
        check_out(options.out)
        if options.work is not None:
            return _run(options, options.work.absolute())
        with tempfile.TemporaryDirectory(prefix="sway-ward-") as work:
            return _run(options, Path(work))
    except (BenchError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _run(options: argparse.Namespace, work: Path) -> int:
    rival = find_rival(options.rival_python, 1) if options.rival_python else None
    if rival is not None and rival.missing:
        raise BenchError(f"dlm-sway: {rival.missing}")
    report: dict[str, Any] = {"wards": {}}
    wrong = 0
    for document in options.documents.split(","):
        for seed in map(int, options.seeds.split(",")):
            name, texts = f"{document}, seed {seed}", DOCUMENTS[document]
            folder = work / f"{document}-{seed}"
            ward = _ward(document, seed, folder, options.only.split(",") if options.only else [])
            ours = _ours(spec(texts, BASE, runs=options.runs), ward, folder / "ours")
            theirs = _theirs(rival.python, texts, ward, folder / "theirs") if rival is not None else {}
            found = {patient: contradictions(patient, told) for patient, told in ours.items()}
            wrong += sum(map(len, found.values()))
            report["wards"][name] = {"ours": ours, "theirs": theirs, "contradictions": found}
            write_report(options.out, report)
            sys.stdout.write(f"## {name}\n\n{_table(ours, theirs)}\n{_told(found)}\n")
            sys.stdout.flush()
    return 1 if wrong else 0


def _ours(whole: dict[str, Any], ward: Mapping[str, Path], folder: Path) -> dict[str, Report]:
    """Our reports; those that an earlier run left in the folder are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {name: path for name, path in ward.items() if not (folder / f"{name}.json").is_file()}
    if missing:
        with tempfile.TemporaryDirectory(dir=folder) as room:
            for name, report in examine(whole, missing, Path(room)).items():
                (folder / f"{name}.json").write_text(json.dumps(report), "utf-8")
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in ward}


def _theirs(python: str, texts: Texts, ward: Mapping[str, Path], folder: Path) -> dict[str, Report]:
    """The rival's, two at a time as ours are."""
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(
            lambda name: dlm_sway_reports.examine(python, texts, BASE, ward[name], folder / name), list(ward)
        )
        return dict(zip(ward, found, strict=True))


def _ward(document: str, seed: int, folder: Path, only: list[str]) -> dict[str, Path]:
    """The adapters of one ward, trained where they are not there yet."""
    wanted = [name for name in TRUTH if not only or name in only]
    committed = patients()
    if (document, seed) == ("first", 0):
        return {name: committed[name] for name in wanted}
    adapters = folder / "adapters"
    made = [name for name in wanted if name not in UNTRAINED and not (adapters / name).is_dir()]
    if made:
        texts = DOCUMENTS[document].folder
        command = [sys.executable, "-m", "tests.known_adapters.make", "--seed", seed, "--out", adapters]
        command += ["--document", texts, "--only", *made]
        env = {**environment(1, ours=True), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
        done = ran(list(map(str, command)), env)
        if done.code:
            raise BenchError(f"the ward cannot be made: {last_line(done)}")
    return {name: committed[name] if name in UNTRAINED else adapters / name for name in wanted}


def _table(ours: Mapping[str, Report], theirs: Mapping[str, Report]) -> str:
    """A row a patient: who it is, composite and gate of both, and who failed it."""
    rows = [
        "| patient | condition | ours | gate | fails | dlm-sway 0.1.0 | gate | fails |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, report in ours.items():
        cells = [
            name,
            TRUTH[name].condition,
            f"{composite(report):.2f}",
            _gate(passed(report)),
            _fails(report),
        ]
        rows.append(f"| {' | '.join([*cells, *_rival_cells(theirs.get(name))])} |")
    return "\n".join(rows) + "\n"


def _rival_cells(report: Report | None) -> list[str]:
    if report is None:
        return ["-", "-", "-"]
    if "failed" in report:
        return ["-", "-", str(report["failed"])[:60]]
    return [f"{composite(report):.2f}", _gate(dlm_sway_reports.passes_its_gate(report)), _fails(report)]


def _gate(through: bool) -> str:
    return "passed" if through else "failed"


def _fails(report: Report) -> str:
    return (
        ", ".join(name for name, verdict in verdicts(report).items() if verdict in ("fail", "error")) or "-"
    )


def _told(found: Mapping[str, list[str]]) -> str:
    lines = [f"- {patient}: {line}" for patient, all_of in found.items() for line in all_of]
    return (
        "\n".join(["Contradictions of the truth table:", *lines] if lines else ["No contradiction."]) + "\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2", metavar="0,1,2")
    parser.add_argument("--documents", default="first,second", metavar="first,second")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="null adapters")
    parser.add_argument("--only", default="", metavar="NAME,…", help="some patients alone")
    parser.add_argument(
        "--rival-python", metavar="PATH", help="interpreter with dlm-sway[hf,semsim] 0.1.0 and dlm"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps what was trained")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="all reports")
    return parser


if __name__ == "__main__":
    sys.exit(main())
