"""The terminal summary: at every width, loud and quiet, in colours, in ASCII."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from pytest_sway.reports.terminal import NARROWEST, lines
from pytest_sway.result import Sample, SuiteResult, Verdict
from pytest_sway.suites.saved_results import read_saved_result
from pytest_sway.text.width import clean, fold, keep_end, shorten, transliterate, width
from tests.support.fake_models import SPEC
from tests.support.saved_results import DLM_SWAY_RESULT
from tests.support.suite_results import gate, null, probe, suite, suites


def terminal_lines(result: SuiteResult, columns: int = 80, verbosity: int = 0) -> list[str]:
    return ["".join(span.text for span in line) for line in lines(result, columns, verbosity)]


@settings(max_examples=30)
@given(suites, st.integers(1, 200), st.integers(-2, 2))
def test_no_line_of_any_result_is_wider_than_the_terminal(
    result: SuiteResult, columns: int, verbosity: int
) -> None:
    found = terminal_lines(result, columns, verbosity)
    assert max(map(width, found)) <= max(columns, NARROWEST)
    assert not any(char in line for line in found for char in "\n\r\x1b")
    assert any(line.startswith(("GATE ", "not gated:")) for line in found)


@given(st.text(), st.integers(2, 30))
def test_folding_keeps_every_word_and_the_width(text: str, columns: int) -> None:
    found = fold(text, columns)
    assert "".join(found).replace(" ", "") == clean(text).replace(" ", "")
    assert all(width(line) <= columns for line in found)


def test_wide_letters_take_two_columns_and_accents_none() -> None:
    assert [width(text) for text in ("abc", "名前", "e\u0301", "█σ")] == [3, 4, 1, 2]
    assert fold("名前名前 ab", 6) == ["名前名", "前 ab"]
    assert (keep_end("adapters/healthy", 8), shorten("adapters healthy", 9)) == ("…healthy", "adapters…")


def test_columns_stand_below_each_other_whatever_the_letters() -> None:
    made = suite(
        probe("moved", Verdict.PASS, "", raw=0.5, z_score=4.0, ci_95=(0.25, 0.75), duration_s=1.5),
        probe("名前", Verdict.FAIL, "", raw=1234.5, z_score=-1.0, ci_95=(-1.0, 1.0), duration_s=20.0),
    )
    heading, first, second = (
        line for line in terminal_lines(made) if re.match(r" {6}probe|PASS |FAIL  ", line)
    )
    assert width(heading) == width(first) == width(second)
    assert first.split() == ["PASS", "moved", "0.50", "0.500", "[0.250,", "0.750]", "+4.00σ", "1.50s"]
    assert second.split() == ["FAIL", "名前", "0.50", "1,234.500", "[-1.000,", "1.000]", "-1.00σ", "20.0s"]
    assert width(first[: first.index("0.50 ")]) == width(second[: second.index("0.50 ")])


def test_a_long_name_is_complete_above_its_figures() -> None:
    name = "n" * 200
    found = terminal_lines(
        suite(probe(name, Verdict.PASS, "said", raw=0.5), probe("short", Verdict.PASS, raw=0.5))
    )
    start = next(n for n, line in enumerate(found) if line.startswith("PASS  nnn"))
    assert "".join(line[6:] for line in found[start : start + 3]) == name
    assert found[start + 3].split() == ["0.50", "0.500", "0.00s"]
    assert found[start + 4].strip() == "said"


def test_a_hundred_probes_are_a_hundred_rows() -> None:
    made = suite(*(probe(f"p{n}", Verdict.PASS, "") for n in range(100)))
    assert sum(line.startswith("PASS  p") for line in terminal_lines(made)) == 100


def test_figures_that_no_table_holds_carry_their_names() -> None:
    made = suite(
        probe("a" * 30, Verdict.WARN, "wide", raw=-123456.7, z_score=3.0, ci_95=(-123456.0, 123456.0))
    )
    found = "\n".join(terminal_lines(made, 60))
    assert "WARN  " + "a" * 30 + "\n" in found
    assert " score 0.50, raw -123,456.700, 95 % [-123,456.000," in found


def test_a_wide_terminal_has_the_note_beside_the_row() -> None:
    made = suite(
        probe("a", Verdict.SKIP, "nothing to ask"), probe("b", Verdict.PASS, " ".join(["word"] * 30))
    )
    found = terminal_lines(made, 120)
    (row,) = [line for line in found if line.startswith("SKIP")]
    assert row.endswith("0.00s  nothing to ask")
    assert sum("word word" in line for line in found[found.index(row) :]) > 1
    assert "nothing to ask" not in next(line for line in terminal_lines(made, 70) if line.startswith("SKIP"))


def test_the_top_is_repeated_only_in_the_verbose_report() -> None:
    made = suite(probe("a", Verdict.FAIL, "far too little"), gate=gate("failed", "1 probe failed: a"))
    assert sum("far too little" in line for line in terminal_lines(made)) == 1
    assert sum("far too little" in line for line in terminal_lines(made, verbosity=1)) == 2


def test_only_messages_with_the_probes_name_are_above() -> None:
    first = probe("a", Verdict.FAIL, "no more than noise: 0.20")
    alike = probe("twin", Verdict.FAIL, "no more than noise: 0.20")  # one reason names both
    for second, told in (
        (probe("b", Verdict.PASS, "0.2"), ["(see above)", "0.2"]),
        (probe("noise", Verdict.PASS, "0.20"), ["(see above)", "0.20"]),
        (
            probe("a, but", Verdict.PASS, "no more than noise: 0.2"),
            ["(see above)", "no more than noise: 0.2"],
        ),
        (alike, ["(see above)", "(see above)"]),
    ):
        made = suite(first, second, gate=gate("failed", "1 probe failed: a"))
        rows = [
            line.rsplit("  ", 1)[-1]
            for line in terminal_lines(made, 120)
            if line.startswith(("PASS ", "FAIL "))
        ]
        assert rows == told


def test_why_nulls_gave_no_z_is_reported_unless_the_message_does() -> None:
    no_z = null(rank=3, reason="the random adapters all gave the same number")
    silent = suite(probe("q", Verdict.PASS, "0.2 nats", null=no_z))
    assert "no z for q: the random adapters all gave the same number" in terminal_lines(silent)
    skipped = suite(probe("q", Verdict.SKIP, "inert", null=no_z))
    assert not any(line.startswith("no z for") for line in terminal_lines(skipped))
    says = suite(
        probe("q", Verdict.PASS, "0.2 (no z: the random adapters all gave the same number)", null=no_z)
    )
    assert not any(line.startswith("no z for") for line in terminal_lines(says))


def test_quiet_is_the_verdict_and_the_gates_reasons() -> None:
    made = suite(probe("a", Verdict.FAIL, "far too little"), gate=gate("failed", "1 probe failed: a"))
    assert terminal_lines(made, verbosity=-1) == [
        "FAILED s.yaml: weak. The effect is smaller than required (a)",
        "GATE FAILED s.yaml",
        "  - 1 probe failed: a",
    ]


def test_quiet_tells_a_warning_about_what_was_measured() -> None:
    warned = suite(probe("a", Verdict.PASS), warnings=("the adapter is another base's",))
    quiet = terminal_lines(warned, 80, -1)
    assert quiet[1] == "  • the adapter is another base's"


def test_verbose_tells_the_items_the_views_and_the_nulls() -> None:
    quarter = null(n=4, rank=1, p=0.25, ratio=2.0, scale="x", draws=(0.1, None, 0.3), z=0.7)
    samples = [Sample("long", 0.9), Sample("dull", 0.1), Sample("", 0.0)]
    made = suite(
        probe("a", Verdict.PASS, base_value=1.0, ft_value=2.0, null=quarter, z_score=0.7, samples=samples)
    )
    found = "\n".join(terminal_lines(made, 200, verbosity=1))
    assert "base model 1.000, with adapter 2.000" in found
    assert "least 0.100 on 'dull'; most 0.900 on 'long'" in found
    assert (
        "not beyond 1 of 4 random adapters (norm_matched), which range from 0.100 to 0.300, p 0.25" in found
    )
    assert "base model 1.000" not in "\n".join(terminal_lines(made))


def test_a_missing_extra_is_reported_with_its_install_line() -> None:
    made = suite(probe("a", Verdict.SKIP, evidence={"missing_extra": "style"}), notes=("mind the gap",))
    assert terminal_lines(made)[-4:-2] == [
        "skipped because an extra is not installed: a (pip install 'pytest-sway[style]')",
        "note: mind the gap",
    ]


def test_the_composite_stands_beside_the_best_of_its_nulls() -> None:
    found = terminal_lines(suite(probe("a", Verdict.PASS)))
    assert "composite 0.80 ████████████████░░░░ effects 0.75, 20 random adapters ≤ 0.25" in found


def test_in_ascii_every_letter_has_a_like_of_the_same_width() -> None:
    text = "█░ +1.00σ — ≥ λ² 名 …"
    assert transliterate(text, "ascii") == "#. +1.00  - > L2 ?? ~"
    assert transliterate(text, "utf-8") == text
    assert transliterate("1.5× — █", "cp1252") == "1.5× — #"


def test_a_result_of_dlm_sway(snapshot: SnapshotAssertion) -> None:
    assert "\n".join(terminal_lines(read_saved_result(DLM_SWAY_RESULT))) == snapshot
    assert terminal_lines(read_saved_result(DLM_SWAY_RESULT), verbosity=1)


def plain(text: str) -> str:
    """The report without what differs from run to run."""
    text = re.sub(r"\d+\.\d+s", "N.NNs", text)
    text = re.sub(r"adapter \S*?/adapters", "adapter …/adapters", text)
    start = text.index("= sway:")
    return text[text.rindex("\n", 0, start) + 1 :].split("\n=====")[0].rstrip("= ")


@pytest.mark.parametrize("base", ["fakellm", "weak", "inert"])
def test_the_report_of_a_run(project: pytest.Pytester, snapshot: SnapshotAssertion, base: str) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", f"base: {base}"))
    text = project.runpytest("--no-header").stdout.str()
    assert plain(text) == snapshot
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in plain(text).splitlines())


def test_colours_and_quiet(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("COLUMNS", "30")
    text = project.runpytest("-q", "--color=yes").stdout.str()
    assert "\x1b[32m\x1b[1mPASSED sway.yaml: healthy. Composite" in text
    assert "\x1b[32m\x1b[1mGATE PASSED\x1b[0m" in text
    assert "weight" not in text


@pytest.mark.slow  # an interpreter of its own: its encoding is fixed when it starts
def test_a_terminal_without_our_letters(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    found = project.runpytest_subprocess("-v")
    found.stdout.fnmatch_lines(["adherence 0.?? #*. weight 0.30", "GATE PASSED"])
    assert "\\u" not in found.stdout.str()
