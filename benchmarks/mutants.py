"""Mutation tests: would a test notice if this line were wrong?

    pip install mutmut==3.8.1
    python benchmarks/mutants.py PART [--sample N]     PART: statistics, judging, suites, engine

Works on a clone of the last commit in a temporary folder. Prints each mutant that no test noticed, then a row
for each module. A sample is even, and the same every time.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RULES = "tests/metamorphic/test_rule_relations.py"
ADDITIONAL_FILES = ["src", "tests", "examples", "benchmarks", "docs"]
KILLED, SURVIVED, UNTESTED, TIMEOUT = "killed", "survived", "no test", "timeout"
OUTCOMES = {
    0: SURVIVED,
    1: KILLED,
    3: KILLED,
    33: UNTESTED,
    36: TIMEOUT,
    24: TIMEOUT,
    -24: TIMEOUT,
    152: TIMEOUT,
}


class Part(NamedTuple):
    """A package, and the tests that must notice what is wrong with it."""

    package: str
    tests: list[str]


PARTS = {
    "statistics": Part("src/pytest_sway/statistics", ["tests/statistics", RULES]),
    "judging": Part("src/pytest_sway/probes/judging", ["tests/probes/judging", RULES]),
    "suites": Part(
        "src/pytest_sway/suites",
        ["tests/suites", "tests/items/test_cost_plan.py", "tests/reports/test_comparison_report.py", RULES],
    ),
    "engine": Part("src/pytest_sway/engine", ["tests/engine", "tests/quickstart/test_cost_estimate.py"]),
}


def main() -> int:
    """Run; 1 where a tenth of the mutants or more survived."""
    parser = argparse.ArgumentParser(prog="mutants.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sway-mutants-") as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        _configure(clone, PARTS[options.part])
        names = []
        if options.sample is not None:
            _mutmut(clone, "no mutant has this name", stderr=subprocess.DEVNULL)  # makes them, and runs none
            every = sorted(name for results in _results(clone).values() for name in results)
            names = random.Random(0).sample(every, min(options.sample, len(every)))
        _mutmut(clone, "--max-children", str(options.workers), *names)
        return _report(clone, set(names))


def _configure(clone: Path, part: Part) -> None:
    lines = {"source_paths": [part.package], "pytest_add_cli_args_test_selection": part.tests}
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in lines.items())
    with (clone / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[tool.mutmut]\n{text}\nalso_copy = {json.dumps(ADDITIONAL_FILES)}\n")


def _mutmut(clone: Path, *arguments: str, stderr: int | None = None) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "mutmut", "run", *arguments]
    subprocess.run(command, cwd=clone, env=env, stderr=stderr, check=False)


def _results(clone: Path) -> dict[Path, dict[str, int | None]]:
    """By mutated file, what became of each of its mutants."""
    return {
        Path(str(path).removesuffix(".meta")): json.loads(path.read_text("utf-8"))["exit_code_by_key"]
        for path in sorted((clone / "mutants").rglob("*.meta"))
    }


def _report(clone: Path, names: set[str]) -> int:
    counts: dict[str, Counter[str]] = {}
    for path, results in _results(clone).items():
        module = str(path.relative_to(clone / "mutants/src/pytest_sway"))
        for name, code in results.items():
            if code is None or (names and name not in names):
                continue
            outcome = OUTCOMES.get(code, KILLED)
            counts.setdefault(module, Counter())[outcome] += 1
            if outcome in (SURVIVED, UNTESTED):
                sys.stdout.write(f"\n{outcome}: {name}\n{_difference(path, name)}\n")
    return _table(counts)


@cache
def _functions(path: Path) -> dict[str, list[str]]:
    """The lines of each function of a file, without its first."""
    lines = (text := path.read_text("utf-8")).splitlines()
    return {
        node.name: lines[node.lineno : node.end_lineno]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _difference(path: Path, name: str) -> str:
    """The lines that a mutant changed; mutmut writes every mutant beside its original."""
    mutant = name.rsplit(".", 1)[1]
    original = f"{mutant.rsplit('__mutmut_', 1)[0]}__mutmut_orig"
    functions = _functions(path)
    lines = difflib.unified_diff(functions[original], functions[mutant], lineterm="", n=0)
    return "\n".join(line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def _table(counts: dict[str, Counter[str]]) -> int:
    lines = ["| module | mutants | killed | timeout | survived | no test |", "| --- " * 6 + "|"]
    total = sum(counts.values(), Counter[str]())
    for module, found in [*counts.items(), ("all", total)]:
        cells = [sum(found.values()), *(found[one] for one in (KILLED, TIMEOUT, SURVIVED, UNTESTED))]
        lines.append(f"| {module} | {' | '.join(map(str, cells))} |")
    share = (total[KILLED] + total[TIMEOUT]) / max(1, sum(total.values()))
    sys.stdout.write("\n" + "\n".join(lines) + f"\n\nnoticed: {share:.1%}\n")
    return 0 if share > 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
