"""What a generated spec holds: samples, overlaps, what is left out and why, and that it is read back."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.spec_generation.generator import GeneratedSpec, SpecInputs, generate_spec
from pytest_sway.spec_generation.starter import EXAMPLE_BASE, starter_spec
from tests.spec_generation.test_forms import BASE, HEALTHY, read
from tests.support.training_files import FACTS, TOOL, answered, asked, write_jsonl

ROWS = [{"prompt": fact.question, "completion": fact.answer} for fact in FACTS]
DOCUMENT = (BASE.parent / "document.md").read_text("utf-8")


def generate(folder: Path, data: Path, **more: Any) -> GeneratedSpec:
    return generate_spec(SpecInputs(folder / "sway.yaml", str(BASE), HEALTHY, data, **more))


def kinds(made: GeneratedSpec) -> set[str]:
    """Kinds of the suite that is written; the text is YAML."""
    value = yaml.safe_load(made.text)
    assert tuple(entry["kind"] for entry in value["suite"]) == made.kinds
    return set(made.kinds)


def test_questions_and_answers(tmp_path: Path) -> None:
    made = generate(tmp_path, write_jsonl(tmp_path, ROWS))
    assert kinds(made) == {
        "null_adapter", "delta_kl", "adapter_revert", "prompt_collapse", "cluster_kl",
        "multi_turn_coherence_decay", "section_internalization", "paraphrase_invariance", "calibration_drift",
        "external_perplexity", "adapter_ablation",
    }  # fmt: skip
    assert made.notes == ()
    for kind in ("preference_flip", "leakage", "gradient_ghost", "training_drift", "tool_use_fidelity"):
        assert f"# not included: {kind} (" in made.text


def test_a_document(tmp_path: Path) -> None:
    (tmp_path / "document.md").write_text(DOCUMENT, "utf-8")
    made = generate(tmp_path, tmp_path / "document.md")
    assert {"leakage", "style_fingerprint"} < kinds(made)
    assert not {"adapter_revert", "paraphrase_invariance"} & kinds(made)
    (tmp_path / "sway.yaml").write_text(made.text, "utf-8")
    _, document = read(tmp_path / "sway.yaml")
    assert [section.id for section in document.sections] == [
        line.removeprefix("## ") for line in DOCUMENT.split("\n") if line.startswith("## ")
    ]
    assert " ".join(document.sections[0].content.split()) in " ".join(DOCUMENT.split())


def test_the_same_seed_is_the_same_spec_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    made = [
        generate(tmp_path, write_jsonl(tmp_path, rows), max_rows=5, seed=seed).text
        for rows, seed in ((ROWS, 3), (ROWS, 3), (ROWS[::-1] + ROWS, 3), (ROWS, 4))
    ]
    assert made[0] == made[1]
    sampled = [{fact.question for fact in FACTS if fact.question in text} for text in made]
    assert len(sampled[0]) == 5
    assert sampled[2] == sampled[0] != sampled[3]


def test_no_more_rows_than_asked_for_stand_anywhere(tmp_path: Path) -> None:
    made = generate(tmp_path, write_jsonl(tmp_path, ROWS[:6]), held_out=_eval(tmp_path, ROWS[6:]), max_rows=2)
    shown = [row for row in ROWS if row["completion"] in " ".join(made.text.split())]
    assert len([row for row in shown if row in ROWS[:6]]) == 2
    assert len([row for row in shown if row in ROWS[6:]]) == 2


def _eval(folder: Path, rows: list[dict[str, Any]]) -> Path:
    (folder / "held").mkdir(exist_ok=True)
    return write_jsonl(folder / "held", rows)


def test_held_out_rows_are_questions_and_controls(tmp_path: Path) -> None:
    made = generate(tmp_path, write_jsonl(tmp_path, ROWS[:8]), held_out=_eval(tmp_path, ROWS[8:]))
    (tmp_path / "sway.yaml").write_text(made.text, "utf-8")
    source, document = read(tmp_path / "sway.yaml")
    by_name = {entry["name"]: entry for entry in source.value["suite"]}
    assert [case["gold"] for case in by_name["held_out_answers"]["cases"]] == [f.answer for f in FACTS[8:]]
    assert [control.content for control in document.controls] == [
        f"{f.question}\n\n{f.answer}" for f in FACTS[8:]
    ]


def test_rows_in_both_files_are_named_and_not_held_out(tmp_path: Path) -> None:
    changed = {"prompt": f"  {ROWS[1]['prompt'].upper()}", "completion": ROWS[1]["completion"]}
    held = _eval(tmp_path, [ROWS[0], *ROWS[8:], changed])
    made = generate(tmp_path, write_jsonl(tmp_path, ROWS[:8]), held_out=held, max_rows=1)
    note = (
        "2 of 6 rows of train.jsonl are not included, because their answers are also in train.jsonl: line 1, "
        "line 6"
    )
    assert note in made.notes
    assert note in " ".join(made.text.replace("#", "").split())
    with pytest.raises(DataError, match="so nothing is held out"):
        generate(tmp_path, write_jsonl(tmp_path, ROWS), held_out=_eval(tmp_path, ROWS[:3]))


def test_rows_that_cannot_be_asked_are_counted_and_named(tmp_path: Path) -> None:
    tools = {"messages": [asked("Who?"), answered("Me.")], "tools": [TOOL]}
    long = {"prompt": "Who?", "completion": "x" * 20_000}
    bad = [tools, long, {"a": 1}, {"b": 1}, {"c": 1}, {"d": 1}]
    made = generate(tmp_path, write_jsonl(tmp_path, [*bad, *ROWS]))
    (note,) = made.notes
    assert note.startswith("train.jsonl: 6 of 18 rows are not supported: line 1: the row has tools")
    assert "line 2: longer than 2,048 characters" in note  # of a base with 1,024 tokens
    assert note.endswith("; and 1 more")


def test_long_texts_are_cut_and_called_so(tmp_path: Path) -> None:
    text = "The lamp burns. " * 400
    made = generate(tmp_path, write_jsonl(tmp_path, [{"text": text}, {"text": "A short text of the works."}]))
    assert made.notes == ("train.jsonl: 1 text is truncated to 2,000 characters",)
    longest = max(len(section["content"]) for section in yaml.safe_load(made.text)["sections"])
    assert 1900 < longest <= 2000


def test_training_files_beside_the_adapter_are_probed(tmp_path: Path) -> None:
    adapter = tmp_path / "checkpoint-4"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    logged = [{"step": step, "epoch": 0.1, "loss": 2.0} for step in range(1, 5)]
    (adapter / "trainer_state.json").write_text(json.dumps({"global_step": 4, "log_history": logged}))
    (adapter / "optimizer.pt").write_bytes(b"")
    inputs = SpecInputs(tmp_path / "sway.yaml", str(BASE), adapter, write_jsonl(tmp_path, ROWS))
    assert {"gradient_ghost", "training_drift"} < set(generate_spec(inputs).kinds)


def test_paths_are_relative_where_they_are_near(tmp_path: Path) -> None:
    for name in ("run/adapter", "base"):
        (tmp_path / name).mkdir(parents=True)
    spec = tmp_path / "specs" / "sway.yaml"
    base = str(tmp_path / "base")
    models = yaml.safe_load(starter_spec(spec, base, tmp_path / "run" / "adapter"))["models"]
    assert (models["base"]["base"], models["ft"]["adapter"]) == ("../base", "../run/adapter")
    models = yaml.safe_load(starter_spec(tmp_path / "a/b/c/sway.yaml", base, None))["models"]
    assert (models["base"]["base"], models["ft"]["adapter"]) == (base, "./adapter")
    assert yaml.safe_load(starter_spec(spec, EXAMPLE_BASE, None))["models"]["base"]["base"] == EXAMPLE_BASE


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.jsonl", None, "does not exist"),
        ("a.jsonl", "", "the file has no rows"),
        ("a.jsonl", "{", "a.jsonl:1: not JSON"),
        ("a.jsonl", b"\xff\xfe\x00", "the byte order mark of UTF-16 but is not valid UTF-16"),
        ("a.jsonl", b'{"text": "\xff"}', "a.jsonl:1: the line is not UTF-8"),
        ("a.jsonl", '{"a": 1}', "1 rows is supported; the first problem: line 1: found the fields 'a'"),
        ("a.jsonl", '{"text": "two words"}', "the texts are too short"),
        ("a.json", "{}", "found {}, expected a list of rows"),
        ("a.json", "[1]", "none of 1 rows is supported; the first problem: row 1: found 1"),
        ("a.csv", "a,b", "file type .csv is not supported; supported: .jsonl"),
        ("a.parquet", "none", "cannot be read"),
        ("a.arrow", "none", "cannot be read"),
        ("a.txt", "", "the file has no rows"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, name: str, content: str | bytes | None, says: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as raised:
        generate(tmp_path, file)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_training_split(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match="no Arrow or Parquet files of a split named train; it contains test"):
        generate(tmp_path, tmp_path)


@pytest.mark.parametrize(
    "value", [ROWS, {"data": ROWS}, {"version": "1", "rows": ROWS}, {"train": ROWS, "test": [1]}]
)
def test_json_with_its_rows_in_some_list(tmp_path: Path, value: object) -> None:
    (tmp_path / "train.json").write_text(json.dumps(value))
    assert "12 of 12 distinct rows" in generate(tmp_path, tmp_path / "train.json").text


def dry_run(folder: Path, made: GeneratedSpec) -> None:
    """The spec is read as a run reads it."""
    (folder / "sway.yaml").write_text(made.text, "utf-8")
    read(folder / "sway.yaml")


TOOL_ROW = {
    "query": "Where is it?",
    "tools": [TOOL],
    "answers": [{"name": "look_up", "arguments": {"word": "\n"}}],
}


@pytest.mark.parametrize(
    "rows",
    [
        [{**ROWS[0], "section": "A"}, {"text": "This is a long sentence of prose here.", "section": "A"}],
        [{**ROWS[0], "section": "p"}, {"prompt": "a b", "chosen": "c", "rejected": "d", "section": "p"}],
        [{**ROWS[0], "section": "\n"}, {**ROWS[1], "section": " "}],
        [{"messages": [{"role": "system", "content": ""}, asked("Who?"), answered("Me.")]}],
        [TOOL_ROW],
        [{**TOOL_ROW, "answers": [{"name": "a\u2028key: 1\u2028\x1b[31m", "arguments": "[]"}]}],
        [{"prompt": "a\u2028b\x85c", "completion": "d\u2029e"}],
    ],
)
def test_odd_rows_make_specs_that_are_read(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    dry_run(tmp_path, generate(tmp_path, write_jsonl(tmp_path, [*ROWS, *rows])))


def test_odd_file_names_make_specs_that_are_read(tmp_path: Path) -> None:
    odd = write_jsonl(tmp_path, ROWS).rename(tmp_path / "a\u2028x: [\x1b.jsonl")
    dry_run(tmp_path, generate(tmp_path, odd))


def test_an_adapter_whose_name_looks_like_a_variable(tmp_path: Path) -> None:
    adapter = shutil.copytree(HEALTHY, tmp_path / "a ${USER}")
    inputs = SpecInputs(tmp_path / "sway.yaml", str(BASE), adapter, write_jsonl(tmp_path, ROWS))
    dry_run(tmp_path, generate_spec(inputs))


@pytest.mark.slow
def test_a_spec_that_would_be_too_large(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {number}?", "completion": "word " * 390} for number in range(2500)]
    with pytest.raises(DataError, match="use a smaller --max-rows"):
        generate(tmp_path, write_jsonl(tmp_path, rows), max_rows=2500)


def test_every_trained_answer_of_a_dialogue_is_no_held_out_one(tmp_path: Path) -> None:
    first, last = (ROWS[k] for k in (0, 1))
    turns = [
        asked(first["prompt"]),
        answered(first["completion"]),
        asked(last["prompt"]),
        answered(last["completion"]),
    ]
    preference = {"prompt": ROWS[2]["prompt"], "chosen": ROWS[2]["completion"], "rejected": "No."}
    accents = {"prompt": "Where is the café?", "completion": "There."}
    data = write_jsonl(tmp_path, [{"messages": turns}, preference, accents])
    eval_rows = [
        {"messages": [{"role": "system", "content": "Be brief."}, *turns[:2]]},
        ROWS[2],
        {**accents, "prompt": "Where is the cafe\u0301?"},
        ROWS[5],
    ]
    made = generate(tmp_path, data, held_out=_eval(tmp_path, eval_rows))
    assert any(
        note.startswith("3 of 4 rows") and note.endswith("line 1, line 2, line 3") for note in made.notes
    )
    assert [control["content"] for control in yaml.safe_load(made.text)["controls"]] == [
        f"{ROWS[5]['prompt']}\n\n{ROWS[5]['completion']}"
    ]


def test_held_out_rows_of_which_nothing_can_be_asked(tmp_path: Path) -> None:
    made = generate(
        tmp_path, write_jsonl(tmp_path, ROWS), held_out=_eval(tmp_path, [{"text": "A text of the works."}])
    )
    assert any("none of the rows is used" in note for note in made.notes)


def test_what_is_shown_of_many_texts_is_said(tmp_path: Path) -> None:
    rows = [{"text": f"The text of number {number} is here.\n"} for number in range(40)]
    made = generate(tmp_path, write_jsonl(tmp_path, rows))
    note = "train.jsonl: only 24 of 40 sampled texts become sections, because every section is scored in full"
    assert made.notes == (note,)
    assert len(yaml.safe_load(made.text)["sections"]) == 24


def test_rows_of_parallel_calls_alone(tmp_path: Path) -> None:
    call = {"name": "look_up", "arguments": {"word": "a"}}
    with pytest.raises(DataError, match="every row calls several tools at once"):
        generate(tmp_path, write_jsonl(tmp_path, [{**TOOL_ROW, "answers": [call, call]}]))


def test_dates_in_a_parquet_file_are_no_tool_call(tmp_path: Path) -> None:
    day = {"name": "look_up", "arguments": {"word": datetime(2026, 1, 1, tzinfo=UTC)}}
    table = pa.Table.from_pylist([{**TOOL_ROW, "tools": json.dumps([TOOL]), "answers": day}])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="or an undefined tool"):
        generate(tmp_path, tmp_path / "a.parquet")


def test_a_json_file_of_one_row(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"messages": [asked("Where is it?"), answered("Here.")]}))
    assert "1 of 1 distinct rows" in generate(tmp_path, tmp_path / "one.json").text
