"""Every mistake gets one line: place, field, what was found, what to write. All of a file at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.items.suite_entries import id_of
from pytest_sway.spec.problems import SpecError
from tests.support.adapter_stubs import adapter_stub

GOOD = """\
version: 1
models:
  base: {kind: hf, base: m}
  ft: {kind: hf, base: m, adapter: adapter}
defaults: {seed: 0}
suite:
  - {name: baseline, kind: null_adapter, runs: 20}
  - {name: dk, kind: delta_kl, prompts: [a, b]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("adapter", "fleet/a", "fleet/b"):
        adapter_stub(tmp_path / name)
    return tmp_path


def load_spec(folder: Path, text: str, adapters: tuple[str, ...] = ()) -> Suite:
    (folder / "sway.yaml").write_text(text, encoding="utf-8")
    return load_suite(folder / "sway.yaml", adapters)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as found:
        load_spec(folder, text)
    return str(found.value).splitlines()


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("base: m", "base: ./bse", "4:26", "models.ft.base: there is no folder './bse'"),
        (
            "base: m",
            "base: m.gguf",
            "4:26",
            "there is no file 'm.gguf' next to the spec",
        ),
        ("adapter: adapter", "adapter: nowhere", "4:38", "there is no folder"),
    ],
)
def test_the_files_of_kind_gguf_are_looked_for(
    folder: Path, old: str, new: str, place: str, says: str
) -> None:
    (line,) = problems(folder, GOOD.replace("kind: hf", "kind: gguf").replace(old, new))
    assert line.startswith(f"sway.yaml:{place}: "), line
    assert says in line


def test_a_gguf_file_has_no_revision(folder: Path) -> None:
    (folder / "m.gguf").touch()
    text = GOOD.replace("kind: hf, base: m", "kind: gguf, base: m.gguf, revision: v1")
    assert any("models.ft.base is a local file" in line for line in problems(folder, text))


def test_a_gguf_file_stands_beside_the_spec(folder: Path) -> None:
    (folder / "m.gguf").touch()
    suite = load_spec(folder, GOOD.replace("kind: hf, base: m", "kind: gguf, base: m.gguf"))
    assert (suite.model.kind, suite.model.base) == ("gguf", str(folder / "m.gguf"))
    assert suite.adapters[0].path == str(folder / "adapter")


def test_a_good_spec_is_resolved(folder: Path) -> None:
    suite = load_spec(folder, GOOD)
    assert [e.id for e in suite.entries] == ["baseline", "dk"]
    assert suite.adapters[0].path == str(folder / "adapter")
    assert suite.plan is not None
    assert suite.plan.runs == 20
    assert suite.notes == ()
    assert suite.entries[1].location == "sway.yaml:8"


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("version: 1", "version: 2", "1:10", "version: found 2, allowed: 1"),
        ("version: 1", "versoin: 1", "1:1", "(did you mean 'version'?)"),
        ("kind: hf, base: m}", "kind: hg, base: m}", "3:16", "found 'hg', allowed: 'hf'"),
        ("base: {kind: hf, base: m}", "base: {kind: hf}", "3:3", "models.base.base: is required but missing"),
        ("ft: {kind: hf, base: m,", "ft: {kind: hf, base: n,", "4:24", "models.base.base is 'm'"),
        ("adapter: adapter", "adapter: nowhere", "4:36", "there is no folder"),
        ("adapter: adapter", "adapter: .", "4:36", "contains no adapter_config.json"),
        (", adapter: adapter", "", "4:7", "adapter is missing"),
        ("base: m}\n  ft", "base: m, revision: x}\n  ft", "3:39", "models.ft use the same settings"),
        ("base: m}\n  ft", "base: m, adapter: fleet/a}\n  ft", "3:38", "without an adapter"),
        ("seed: 0", "seed: many", "5:18", "expected an integer"),
        ("seed: 0", "sede: 0", "5:12", "(did you mean 'seed'?)"),
        ("seed: 0", "top_k: all", "5:19", "defaults.top_k: found 'all', expected an integer"),
        ("seed: 0", "concurrent_probes: 0", "5:31", "found 0, expected a number ≥ 1"),
        (
            "ft: {kind: hf, base: m,",
            "ft: {kind: hf, base: n,",
            "4:24",
            "add defaults: {differential: false}",
        ),
        (
            "adapter: adapter",
            "adapter: fleet",
            "4:36",
            "its subfolders contain adapters (a, b). Use one of these subfolders; to evaluate several",
        ),
        ("seed: 0", "coverage_threshold: 7", "5:32", "a number ≤ 1"),
        ("seed: 0", "score_weights: {adherance: 1}", "5:27", "unknown category 'adherance'"),
        ("seed: 0", "score_weights: {adherence: -1}", "5:27", "must be finite and ≥ 0"),
        ("kind: delta_kl", "kind: delta_lk", "8:22", "(did you mean 'delta_kl'?)"),
        ("name: dk", "name: baseline", "8:12", "is already used on line 7"),
        ("name: dk, ", "", "8:5", "missing name"),
        ("name: dk", "name: null", "8:5", "write it in quotes"),
        ("prompts: [a, b]", "prompt: [a, b]", "8:32", "(did you mean 'prompts'?)"),
        ("prompts: [a, b]", "prompts: a", "8:41", "found 'a', expected a list"),
        ("prompts: [a, b]", "prompts: [a, {}]", "8:45", "suite[1].prompts[1]: found the mapping {}"),
        ("prompts: [a, b]", "prompts: [a], weight: .nan", "8:54", "found .nan, expected a finite number"),
        ("runs: 20", "runs: 0", "7:48", "suite[0].runs: found 0"),
        ("runs: 20", "runs: many", "7:48", "expected an integer"),
        ("runs: 20", "calibrate_kinds: [delta_lk]", "7:59", "(did you mean 'delta_kl'?)"),
        ("adapter: adapter", "adapter: ~nosuch/x", "4:36", "there is no folder"),
        ("adapter: adapter", f"adapter: {'x' * 300}", "4:36", "there is no folder"),
        ("adapter: adapter", 'adapter: "a\\0b"', "4:36", "YAML reads \\0 in double quotes as one"),
        ("runs: 20", "enabled: !!bool maybe", "7:51", "is not allowed"),
        ("runs: 20", "runs: !!int ''", "7:48", "is not allowed"),
        ("prompts: [a, b]", "prompts: []", "8:41", "give at least 1"),
        (
            "delta_kl, prompts: [a, b]",
            "adapter_revert, cases: [{prompt: a, gold: b, paraphrases: [c], golds: d}]",
            "8:85",
            "unknown key 'golds' (did you mean 'gold'?); allowed: context, gold, paraphrases, prompt",
        ),
        ("prompts: [a, b]", "prompts: [a, Q: what]", "8:45", "If the string contains a colon"),
        ("base: m", "base: ./bse", "4:24", "there is no folder './bse'"),
        (", prompts: [a, b]", "", "8:5", "prompts: is required but missing"),
        ("runs: 20", "family: magic", "7:50", "allowed: 'norm_matched', 'signs'"),
        ("runs: 20", "rank_multipliers: [0.5, -1.0]", "7:60", "must be a finite number > 0"),
        ("runs: 20", "rank_multipliers: [0.5, 0.501]", "7:60", "must differ in their first two decimals"),
        ("runs: 20", "family: yours", "7:5", "family: yours and the option adapters can only be used"),
        ("runs: 20", "adapters: [adapter]", "7:5", "family: yours and the option adapters can only be used"),
        ("runs: 20", "family: yours, adapters: [adapter]", "7:67", "one adapter is not enough"),
        ("runs: 20", "family: yours, adapters: [adapter, nowhere]", "7:67", "no adapter folder 'nowhere'"),
        ("runs: 20", f"family: yours, adapters: [adapter, {'x' * 300}]", "7:67", "no adapter folder 'xxx"),
        ("runs: 20", "family: yours, adapters: ['x*']", "7:67", "no adapter folder matches 'x*'"),
        ("  - {name: dk", "  - text\n  - {name: dk", "8:5", "found 'text', expected a mapping"),
        ("suite:", "dlm_source: x.dlm\nsuite:", "6:13", "there is no file 'x.dlm'"),
    ],
)
def test_one_mistake_one_line(folder: Path, old: str, new: str, place: str, says: str) -> None:
    assert old in GOOD
    everywhere = -1 if old == "base: m" else 1  # both sides must name one base
    (line,) = problems(folder, GOOD.replace(old, new, everywhere))
    assert line.startswith(f"sway.yaml:{place}: "), line
    assert says in line


def test_an_empty_suite_is_refused(folder: Path) -> None:
    (line,) = problems(folder, GOOD.split("suite:")[0] + "suite: []\n")
    assert line == "sway.yaml:6:8: suite: the suite is empty; add at least one probe"


def test_all_mistakes_of_a_file_come_at_once_in_its_order(folder: Path) -> None:
    text = GOOD.replace("version: 1", "version: 3").replace("runs: 20", "run: 20")
    lines = problems(folder, text.replace("prompts", "prompt"))
    assert [line.split(": ")[0] for line in lines] == [
        "sway.yaml:1:10",
        "sway.yaml:7:42",
        "sway.yaml:8:32",
    ]


FULL = GOOD.replace("ft: {kind: hf, base: m, adapter: adapter}", "ft: {kind: hf, base: tuned}").replace(
    "seed: 0", "differential: false"
)


def test_a_full_fine_tune_is_another_model_without_an_adapter(folder: Path) -> None:
    (folder / "tuned").mkdir()
    suite = load_spec(folder, FULL)
    assert suite.model.base == "m"
    (key,) = suite.adapters
    assert (key.path, key.model) == (None, str(folder / "tuned"))
    assert suite.adapter_labels[key] == "tuned"


def test_a_full_fine_tune_may_have_adapter_and_revisions(folder: Path) -> None:
    text = FULL.replace("hf, base: m}", "hf, base: m, revision: one}")
    text = text.replace("base: tuned}", "base: me/tuned, revision: two, adapter: adapter}")
    suite = load_spec(folder, text)
    assert (suite.model.base, suite.model.revision) == ("m", "one")
    (key,) = suite.adapters
    assert (key.path, key.model, key.revision) == (str(folder / "adapter"), "me/tuned", "two")


def test_one_base_with_an_adapter_is_the_same_in_both_modes(folder: Path) -> None:
    suite = load_spec(folder, GOOD.replace("seed: 0", "differential: false"))
    assert suite.adapters == load_spec(folder, GOOD).adapters
    assert suite.adapters[0].model is None


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("base: tuned", "base: ./nowhere", "4:24", "there is no folder './nowhere'"),
        ("base: m}", "base: ./nowhere}", "3:26", "there is no folder './nowhere'"),
        ("base: tuned}", "base: m}", "4:7", "models.ft.adapter is missing"),
        ("base: m}", "base: m, dtype: fp16}", "3:36", "models.ft use the same settings"),
        ("base: tuned}", "base: tuned, revision: x}", "4:41", "models.ft.base is a local folder"),
    ],
)
def test_a_bad_full_fine_tune_is_reported(folder: Path, old: str, new: str, place: str, says: str) -> None:
    (folder / "tuned").mkdir()
    (line,) = problems(folder, FULL.replace(old, new))
    assert line.startswith(f"sway.yaml:{place}: ")
    assert says in line


def test_two_null_adapters_are_one_too_many(folder: Path) -> None:
    (line,) = problems(folder, GOOD + "  - {name: other, kind: null_adapter}\n")
    assert "a suite can have only one" in line


def test_many_mistakes_are_cut(folder: Path) -> None:
    lines = problems(folder, GOOD + "  - {}\n" * 100)
    assert lines[-1] == "… and 75 more problems"


def test_the_command_lines_adapter_replaces_the_specs(folder: Path) -> None:
    text = GOOD.replace("adapter: adapter", "adapter: nowhere")
    suite = load_spec(folder, text, (str(folder / "adapter"),))
    assert [key.path for key in suite.adapters] == [str(folder / "adapter")]
    with pytest.raises(SpecError, match="--sway-adapter=lost: no adapter folder found"):
        load_spec(folder, GOOD, ("lost",))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("runs: 20", "runs: 3", "raised from 3 to 20"),
        ("seed: 0", "concurrent_probes: 4", "requests are batched"),
        ("seed: 0", "top_k: 64", "the full vocabulary is compared"),
        ("prompts: [a, b]", "prompts: [a, b], top_k: 64", "the full vocabulary is compared"),
        ("delta_kl, prompts: [a, b]", "leakage, assert_z_gte: 3", "assert_z_gte has no effect"),
        ("[a, b]", "[a, b], weight: -1", "weight: -1 is treated as 0"),
        ("[a, b]", "[a, b], assert_mean_gte: 0", "dk: assert_mean_gte: 0 switches this condition off"),
        ("[a, b]", "[a, b], assert_z_gte: -1", "dk: assert_z_gte: -1 switches this condition off"),
        (
            "adapter: adapter",
            "adapter: adapter, endpoint: x",
            "endpoint has no effect with kind: hf; it applies only to kind: api",
        ),
        (
            "adapter: adapter",
            "adapter: adapter, entry_point: a:B",
            "has no effect with kind: hf; it applies only to kind: custom",
        ),
        ("base: m}\n", "base: m, adapter: ./adapter}\n", "models.base.adapter has no effect"),
        ("base: m}\n", "base: m, adapter: [adapter]}\n", "models.base.adapter has no effect"),
        ("base: m}\n", "base: m, dtype: fp16}\n", "the base model also uses models.ft.dtype: 'auto'"),
        ("kind: hf, base: m}\n", "kind: dummy, base: m}\n", "base model also uses models.ft.kind: 'hf'"),
    ],
)
def test_what_an_old_spec_may_expect_otherwise_is_said(folder: Path, old: str, new: str, says: str) -> None:
    (note,) = load_spec(folder, GOOD.replace(old, new)).notes
    assert says in note.message


def test_a_note_stands_at_the_line_it_is_about(folder: Path) -> None:
    text = GOOD.replace(
        "{name: dk, kind: delta_kl, prompts: [a, b]}", "name: dk\n    kind: delta_kl\n    prompts: [a]"
    )
    (note,) = load_spec(folder, text + "    assert_mean_gte: -0.5\n").notes
    assert (note.line, note.column) == (11, 22)


def test_the_base_side_takes_no_adapter_of_a_full_fine_tune(folder: Path) -> None:
    (folder / "tuned").mkdir()
    text = FULL.replace("base: m}", "base: m, adapter: adapter}").replace(
        "tuned}", "tuned, adapter: adapter}"
    )
    (line,) = problems(folder, text)
    assert "models.base is always evaluated without an adapter" in line


@pytest.mark.parametrize("value", ["'1'", "1.0", "true"])
def test_a_version_may_be_written_as_pydantic_reads_a_number(folder: Path, value: str) -> None:
    assert load_spec(folder, GOOD.replace("version: 1", f"version: {value}")).entries


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(GOOD)),
            st.integers(0, 12),
            st.text("{}[]:-,&*!|>'\"#%@`~$ \n\tano01.\\", max_size=6),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_damage_to_a_spec_is_a_suite_or_a_located_message(tmp_path_factory: Any, cuts: Any) -> None:
    text = GOOD
    for at, length, new in cuts:
        text = text[:at] + new + text[at + length :]
    folder = tmp_path_factory.mktemp("s")
    try:
        load_spec(folder, text)
    except SpecError as error:
        assert all(line.startswith(("sway.yaml", "…")) for line in str(error).splitlines())


def test_exact_runs_keeps_few_draws(folder: Path) -> None:
    suite = load_spec(folder, GOOD.replace("runs: 20", "runs: 3, exact_runs: true"))
    assert suite.plan is not None
    assert suite.plan.runs == 3
    assert suite.notes == ()


def test_a_null_adapter_that_stands_last_is_warned_about(folder: Path) -> None:
    head, first, second = GOOD.partition("  - {name: baseline")
    lines = (first + second).splitlines(keepends=True)
    (note,) = load_spec(folder, head + lines[1] + lines[0]).notes
    assert "comes after dk" in note.message


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dk", "dk"),
        ("a::b", "a_b"),
        ("größe", "größe"),
        ("two words", "two_words"),
        ("a[b]", "a_b_"),
        ("pytestmark", "pytestmark_"),
        ("setup_module", "setup_module_"),
        ("__name__", "__name___"),
        ("pytest_generate_tests", "pytest_generate_tests_"),
        ("\n", "_"),
    ],
)
def test_any_name_is_a_usable_id(name: str, expected: str) -> None:
    assert id_of(name) == expected


def id_ofs_stay_apart_when_names_fall_together(folder: Path) -> None:
    text = (
        GOOD
        + "  - {name: a b, kind: delta_kl, prompts: [a]}\n  - {name: a_b, kind: delta_kl, prompts: [a]}\n"
    )
    assert [e.id for e in load_spec(folder, text).entries][-2:] == ["a_b", "a_b-2"]
