"""``sway samples`` and ``--sway-samples``: answers in the terminal, in files, on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sway.cli.main import main
from pytest_sway.items.samples_entry import with_samples
from pytest_sway.items.suite import load_suite
from pytest_sway.probes.samples import SamplesOptions
from pytest_sway.reports.samples_text import AnswerPair, answer_pairs, gain_text, markdown, terminal
from pytest_sway.result import Claim, Verdict
from tests.cli.test_main import refusal
from tests.support.paths import QUICKSTART
from tests.support.suite_results import probe

SPEC = QUICKSTART / "battery.sway.yaml"
HOSTILE = "<script>alert(1)</script> \x1b[31m **x** | y"


def added(folder: Path, suite: str, count: int = 4) -> SamplesOptions:
    """The options of the entry that the option adds."""
    base, healthy = QUICKSTART / "base", QUICKSTART / "adapters" / "healthy"
    models = f"base: {{base: {base}}}\n  ft: {{base: {base}, adapter: {healthy}}}"
    (folder / "sway.yaml").write_text(f"models:\n  {models}\n{suite}", "utf-8")
    entry = load_suite(folder / "sway.yaml", samples=count).entries[-1]
    assert isinstance(entry.probe.options, SamplesOptions)
    return entry.probe.options


CASES = (
    "suite:\n - {name: samples, kind: paraphrase_invariance, "
    "cases: [{prompt: Who?, gold: Me., paraphrases: [And?]}]}\n"
)
PROMPTS = "suite:\n - {name: moved, kind: delta_kl, prompts: [The, A]}\n"
ROWS = "sections: [{question: Where?, answer: Here.}]\n"


def test_the_questions_of_cases(tmp_path: Path) -> None:
    found = added(tmp_path, CASES)
    assert found.name == "samples-2"  # the suite has a probe of that name
    assert [(case.prompt, case.gold) for case in found.cases] == [("Who?", "Me.")]
    assert found.count == 4


def test_else_the_prompts(tmp_path: Path) -> None:
    assert [(case.prompt, case.gold) for case in added(tmp_path, PROMPTS).cases] == [("The", ""), ("A", "")]


def test_the_documents_questions_go_first(tmp_path: Path) -> None:
    assert added(tmp_path, ROWS + CASES).cases == []


def test_a_suites_own_entry_is_used(tmp_path: Path) -> None:
    found = added(tmp_path, PROMPTS + " - {name: said, kind: samples, cases: [{prompt: Who?}]}\n", 7)
    assert (found.name, found.count, len(found.cases)) == ("said", 7, 1)


def test_nothing_is_added_unasked() -> None:
    suite = load_suite(SPEC)
    assert with_samples(suite.entries, suite.spec.document, suite.spec.source, None) == list(suite.entries)


PAIRS = [
    {"prompt": "Who?", "gold": "Me.", "base": "No.", "adapter": "Me.", "gain": 1.0},
    {"prompt": HOSTILE, "gold": "", "base": "", "adapter": HOSTILE, "gain": 0.25},
    {"prompt": "Same?", "gold": "x", "base": "y", "adapter": "y", "gain": 0.0},
    {"prompt": 3},
    "no row",
]
SHOWN = probe("samples", Verdict.PASS, "3 asked", claim=Claim.DESCRIPTION, evidence={"samples": PAIRS})


def test_answers_in_the_terminal() -> None:
    lines = terminal(SHOWN, 40)
    assert all(len(line) <= 40 and "\x1b" not in line for line in lines)
    assert lines[:6] == [
        "3 asked", "", "1. 100% closer to the taught answer", "asked    Who?", "taught   Me.", "base     No.",
    ]  # fmt: skip
    assert "base     (nothing)" in lines
    assert "3. word for word the same" in lines


def test_answers_as_markdown() -> None:
    text = "\n".join(markdown(SHOWN))
    assert "**1. 100% closer to the taught answer**" in text
    assert "<script>" not in text


@pytest.mark.parametrize(
    "evidence", [{}, {"samples": 3}, {"samples": [{}]}, {"samples": [{**PAIRS[0], "gain": True}]}]
)  # type: ignore[dict-item]
def test_evidence_that_is_none(evidence: dict[str, object]) -> None:
    assert answer_pairs(probe("samples", Verdict.PASS, evidence=evidence)) == []


@pytest.mark.parametrize(
    ("gain", "gold", "text"),
    [
        (0.5, "x", "50% closer to the taught answer"),
        (-0.5, "x", "50% farther from the taught answer"),
        (0.0, "x", "as close to the taught answer as the answer of the base model"),
        (0.3, "", "30% other words"),
    ],
)
def test_a_gain_in_words(gain: float, gold: str, text: str) -> None:
    assert gain_text(AnswerPair("q", gold, "b", "a", gain)) == text


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["none.yaml"], "file none.yaml does not exist"),
        ([SPEC, "-n", "0"], "-n 0: write a number from 1 to 1000"),
        ([SPEC, "--html", "/dev/null/a.html"], "is not writable"),
        ([SPEC, "--adapter", "none"], "no adapter folder"),
    ],
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], arguments: list[object], found: str) -> None:
    assert found in refusal(capsys, "samples", *arguments)


@pytest.mark.slow
def test_the_quickstarts_answers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = {name: tmp_path / f"a.{name}" for name in ("markdown", "html", "json")}
    options = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    assert main(["samples", str(SPEC), "-n", "4", *options]) == 0
    found = capsys.readouterr()
    assert not found.err
    assert found.out.count("\nasked ") == found.out.count("\nadapter ") == 4
    assert found.out.index("closer to the") < found.out.rindex("the taught answer")
    assert files["markdown"].read_text("utf-8").count("- asked: ") == 4
    assert files["html"].read_text("utf-8").count("<dt>asked</dt>") == 4
    (shown,) = json.loads(files["json"].read_text("utf-8"))["probes"]
    assert (shown["kind"], shown["verdict"], shown["score"]) == ("samples", "pass", None)
