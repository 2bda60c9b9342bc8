"""Known adapters, evaluated by pytest-sway and by dlm-sway: what each says of every one.

``python benchmarks/known_adapters/run.py [--seeds 0,1,2] [--documents first,second] [--runs 20] [--profile
quick] [--only NAME,…] [--dlm-sway-python PATH] [--work DIR] [--out FILE.json]``. All adapters of seed 0 on
the first document are committed; for any other seed or document those of CORE, or of --only, are trained here
first and kept in DIR, as is every report, so that a run cut short goes on. Prints a table for each document
and seed: composite, gate and failed probes of pytest-sway and of dlm-sway, and what contradicts the expected
verdicts.
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
from processes import ROOT, BenchError, environment, find_dlm_sway, last_line, ran
from reporting import check_out, write_report

from tests.known_adapters.battery import FIRST, SECOND, Texts, spec
from tests.known_adapters.evaluation import Report, composite, evaluate, passed, verdicts
from tests.known_adapters.expected_verdicts import EXPECTED, adapter_folders, contradictions
from tests.support.paths import QUICKSTART

BASE = QUICKSTART / "base"
UNTRAINED = frozenset({"inert", "random"})
"""Adapters that depend on no document and no training."""
CORE = (
    "healthy",
    "half",
    "mild",
    "careless",
    "style_only",
    "one_topic",
    "memoriser",
    "overscaled",
    "undertrained",
    "random",
)
"""Conditions that another seed or document may change, each kind of verdict among them."""
DOCUMENTS: Mapping[str, Texts] = {"first": FIRST, "second": SECOND}


def main() -> int:
    """Train, evaluate, print; 1 where a verdict is none of the expected, 2 where the benchmark failed."""
    options = _parser().parse_args()
    try:
        check_out(options.out)
        if options.work is not None:
            return _run(options, options.work.absolute())
        with tempfile.TemporaryDirectory(prefix="sway-known-") as work:
            return _run(options, Path(work))
    except (BenchError, RuntimeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


def _run(options: argparse.Namespace, work: Path) -> int:
    dlm_sway = find_dlm_sway(options.dlm_sway_python, 1) if options.dlm_sway_python else None
    if dlm_sway is not None and dlm_sway.missing:
        raise BenchError(f"dlm-sway: {dlm_sway.missing}")
    report: dict[str, Any] = {"known_adapters": {}}
    wrong = 0
    for document in options.documents.split(","):
        for seed in map(int, options.seeds.split(",")):
            name, texts = f"{document}, seed {seed}", DOCUMENTS[document]
            folder = work / f"{document}-{seed}"
            adapters = _adapters_of(document, seed, folder, options.only.split(",") if options.only else [])
            ours = _pytest_sway_reports(
                spec(texts, BASE, runs=options.runs, profile=options.profile), adapters, folder / "ours"
            )
            theirs = (
                _dlm_sway_reports(dlm_sway.python, texts, adapters, folder / "theirs")
                if dlm_sway is not None
                else {}
            )
            # quick leaves kinds out, and looks at too few items to decide some
            undecided = ("skip", "warn") if options.profile == "quick" else ()
            found = {adapter: contradictions(adapter, one, undecided) for adapter, one in ours.items()}
            wrong += sum(map(len, found.values()))
            report["known_adapters"][name] = {"ours": ours, "theirs": theirs, "contradictions": found}
            write_report(options.out, report)
            sys.stdout.write(f"## {name}\n\n{_table(ours, theirs)}\n{_contradiction_lines(found)}\n")
            sys.stdout.flush()
    return 1 if wrong else 0


def _pytest_sway_reports(
    whole: dict[str, Any], adapters: Mapping[str, Path], folder: Path
) -> dict[str, Report]:
    """Our reports; those that an earlier run left in the folder are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {name: path for name, path in adapters.items() if not (folder / f"{name}.json").is_file()}
    if missing:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            for name, report in evaluate(whole, missing, Path(place)).items():
                (folder / f"{name}.json").write_text(json.dumps(report), "utf-8")
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in adapters}


def _dlm_sway_reports(
    python: str, texts: Texts, adapters: Mapping[str, Path], folder: Path
) -> dict[str, Report]:
    """dlm-sway's, two at a time as ours are."""
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(
            lambda name: dlm_sway_reports.evaluate(python, texts, BASE, adapters[name], folder / name),
            list(adapters),
        )
        return dict(zip(adapters, found, strict=True))


def _adapters_of(document: str, seed: int, folder: Path, only: list[str]) -> dict[str, Path]:
    """The adapters of one document and seed, trained where they are not there yet."""
    committed = adapter_folders()
    shipped = (document, seed) == ("first", 0)
    wanted = [name for name in EXPECTED if name in (only or (EXPECTED if shipped else CORE))]
    if shipped:
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
            raise BenchError(f"the adapters cannot be trained: {last_line(done)}")
    return {name: committed[name] if name in UNTRAINED else adapters / name for name in wanted}


def _table(ours: Mapping[str, Report], theirs: Mapping[str, Report]) -> str:
    """A row an adapter: who it is, composite and gate of both, and who failed it."""
    rows = [
        "| adapter | condition | ours | gate | fails | dlm-sway 0.1.0 | gate | fails |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, report in ours.items():
        cells = [
            name,
            EXPECTED[name].condition,
            f"{composite(report):.2f}",
            _gate(passed(report)),
            _fails(report),
        ]
        rows.append(f"| {' | '.join([*cells, *_dlm_sway_cells(theirs.get(name))])} |")
    return "\n".join(rows) + "\n"


def _dlm_sway_cells(report: Report | None) -> list[str]:
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


def _contradiction_lines(found: Mapping[str, list[str]]) -> str:
    lines = [f"- {adapter}: {line}" for adapter, all_of in found.items() for line in all_of]
    return (
        "\n".join(["Contradictions of the expected verdicts:", *lines] if lines else ["No contradiction."])
        + "\n"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="0,1,2", metavar="0,1,2")
    parser.add_argument("--documents", default="first,second", metavar="first,second")
    parser.add_argument("--runs", type=int, default=20, metavar="N", help="null adapters")
    parser.add_argument("--profile", default="standard", choices=("quick", "standard", "thorough"))
    parser.add_argument("--only", default="", metavar="NAME,…", help="these adapters alone")
    parser.add_argument(
        "--dlm-sway-python", metavar="PATH", help="interpreter with dlm-sway[hf,semsim] 0.1.0 and dlm"
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps what was trained")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="all reports")
    return parser


if __name__ == "__main__":
    sys.exit(main())
