"""``models.ft.adapter`` as one folder, a list, or a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.spec.problems import SpecError
from tests.support.adapter_stubs import adapter_stub

WEIGHTS = "adapter_model.safetensors"

SPEC = """\
models:
  base: {{kind: hf, base: m}}
  ft: {{kind: hf, base: m, adapter: {adapter}}}
suite:
  - {{name: dk, kind: delta_kl, prompts: [a, b]}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a", "b", "out/checkpoint-9", "out/checkpoint-10", "out/checkpoint-100", "odd[1]"):
        adapter_stub(tmp_path / name)
    (tmp_path / "out" / "runs").mkdir()
    (tmp_path / "a" / "checkpoint-5").mkdir()
    adapter_stub(tmp_path / "out" / "checkpoint-5")
    (tmp_path / "out" / "checkpoint-5" / WEIGHTS).unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def suite(folder: Path, adapter: str, given: tuple[str, ...] = ()) -> Suite:
    (folder / "sway.yaml").write_text(SPEC.format(adapter=adapter))
    return load_suite(folder / "sway.yaml", given)


def names(folder: Path, adapter: str, given: tuple[str, ...] = ()) -> list[str]:
    found = suite(folder, adapter, given)
    return [str(Path(key.path or "").relative_to(folder)) for key in found.adapters]


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        ("a", ["a"]),
        ("[b, a]", ["b", "a"]),
        ("[a, ./a, b]", ["a", "b"]),
        ("out/checkpoint-*", ["out/checkpoint-9", "out/checkpoint-10", "out/checkpoint-100"]),
        ("'out/*'", ["out/checkpoint-9", "out/checkpoint-10", "out/checkpoint-100"]),
        ("'**/checkpoint-9'", ["out/checkpoint-9"]),
        ("[b, '[ab]']", ["b", "a"]),
        ("'odd[1]'", ["odd[1]"]),
    ],
)
def test_names_and_patterns_become_folders(folder: Path, adapter: str, expected: list[str]) -> None:
    assert names(folder, adapter) == expected


def test_every_adapter_of_a_fleet_has_a_name_of_its_own(folder: Path) -> None:
    assert list(suite(folder, "[a, out/checkpoint-9]").adapter_labels.values()) == ["a", "checkpoint-9"]


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        ("'nothing-*'", "3:36: models.ft.adapter: no adapter folder matches 'nothing-*'"),
        ("[a, lost]", "models.ft.adapter: there is no folder 'lost'"),
        ("[a, out]", "out contains no adapter_config.json"),
        ("[]", "models.ft.adapter is missing"),
        ("''", "models.ft.adapter: found '', expected a non-empty string"),
        ("' '", "models.ft.adapter: there is no folder ' '"),
        ("a/adapter_config.json", "a/adapter_config.json is a file; use the folder that contains it"),
        ("a/checkpoint-5", "contains no adapter_config.json, but its parent folder contains one"),
        ("out/checkpoint-5", "out/checkpoint-5 contains no adapter_model.safetensors"),
        (
            "'a/check*'",
            "'a/check*': it matches a/checkpoint-5, but nothing that can be evaluated. a/checkpoint-5: ",
        ),
        (
            "'[abc]/c*'",
            "it matches a/checkpoint-5, but nothing that can be evaluated. a/checkpoint-5: contains",
        ),
        ("3", "models.ft.adapter: found the number 3, expected a string"),
        ("[a, 3]", "models.ft.adapter[1]: found the number 3, expected a string"),
    ],
)
def test_what_is_no_adapter_is_reported(folder: Path, adapter: str, says: str) -> None:
    with pytest.raises(SpecError) as found:
        suite(folder, adapter)
    (line,) = str(found.value).splitlines()
    assert says in line


def test_command_line_patterns_are_of_the_working_directory(folder: Path) -> None:
    assert names(folder, "a", ("../out/*-9", "../b")) == ["out/checkpoint-9", "b"]
    with pytest.raises(SpecError, match=r"--sway-adapter=\.\./x\*: no adapter folder matches this pattern"):
        suite(folder, "a", ("../x*",))


def left_out(folder: Path, adapter: str) -> dict[str, str]:
    """What is left out and should have been an adapter, with the reasons."""
    return {one.name: one.reason for one in suite(folder, adapter).candidates}


def test_an_adapter_without_whole_weights_is_left_out(folder: Path) -> None:
    """Of a pattern; named by itself it is an error before anything is loaded."""
    (folder / "out" / "checkpoint-100" / WEIGHTS).write_bytes(b"")
    assert left_out(folder, "out/*").keys() == {"out/checkpoint-5", "out/checkpoint-100"}
    with pytest.raises(SpecError) as found:
        suite(folder, "[a, out/checkpoint-100, out/checkpoint-5]")
    assert str(found.value).count("sway.yaml:3:36: models.ft.adapter: ") == 2
    with pytest.raises(SpecError, match=r"--sway-adapter=\.\./out/checkpoint-100: "):
        suite(folder, "a", ("../b", "../out/checkpoint-100"))


def test_a_pattern_names_what_it_leaves_out(folder: Path) -> None:
    out = folder / "out"
    adapter_stub(out / "tmp-checkpoint-200")
    (out / "latest").symlink_to("checkpoint-300")
    adapter_stub(out / "sft" / "checkpoint-1")
    (out / "merged").mkdir()
    for name in ("config.json", "model-00001-of-00002.safetensors"):
        (out / "merged" / name).write_text("{}")
    (out / "dpo").mkdir()
    (out / "dpo" / "optimizer.pt").write_text("")
    (out / "checkpoint-notes.txt").write_text("")
    (out / "notes").symlink_to("checkpoint-notes.txt")
    (out / "circle").symlink_to("circle")
    found = left_out(folder, "out/*")
    assert list(found) == [
        f"out/{name}"
        for name in ("checkpoint-5", "latest", "circle", "dpo", "merged", "sft", "tmp-checkpoint-200")
    ]
    assert "subfolders contain adapters (checkpoint-1)" in found["out/sft"]
    assert "a full model" in found["out/merged"]
    assert found["out/latest"] == "is a broken link to checkpoint-300"
    used = suite(folder, "out/*")
    notes = list(used.notes_on(used.adapters[0]))
    assert notes[-1].endswith(
        "because they are not adapter folders: out/checkpoint-notes.txt, out/notes, out/runs"
    )
    assert [problem.line for problem in used.warnings] == [3] * len(found)
    assert names(folder, "[out/*, out/tmp-checkpoint-200]")[-1] == "out/tmp-checkpoint-200"


def test_a_pattern_of_all_depths_names_no_part_of_an_adapter(folder: Path) -> None:
    """Nor the folders around adapters; but a checkpoint in an adapter's folder."""
    (folder / "a" / "global_step5").mkdir()
    (folder / "out" / "runs" / "deep").mkdir()
    used = suite(folder, "'**'")
    shown = [one.name for one in used.left_out]
    assert shown == ["a/checkpoint-5", "elsewhere", "out/checkpoint-5", "out/runs", "sway.yaml"]
    assert [one.name for one in used.candidates] == ["a/checkpoint-5", "out/checkpoint-5"]
    (folder / "out" / "adapter_config.json").write_text("{}")
    assert "out" in left_out(folder, "'**'")


def test_a_link_and_its_target_are_one_adapter(folder: Path) -> None:
    (folder / "out" / "best").symlink_to("checkpoint-10")
    (folder / "latest").symlink_to("out/best")
    used = suite(folder, "[out/*, latest, ./a, a]")
    assert [Path(key.path or "").name for key in used.adapters] == [
        "checkpoint-9", "checkpoint-10", "checkpoint-100", "a",
    ]  # fmt: skip
    (note, *_) = used.notes_on(used.adapters[1])
    assert note == "out/best, latest are links to out/checkpoint-10; the adapter is evaluated once"
    assert not any("evaluated once" in note for note in used.notes_on(used.adapters[3]))


def test_copies_are_evaluated_once_where_nothing_differs(folder: Path) -> None:
    adapter_stub(folder / "copy", name="a")
    adapter_stub(folder / "final", name="b")
    (folder / "final" / "trainer_state.json").write_text("{}")
    (folder / "a" / "checkpoint-5").rmdir()
    used = suite(folder, "[a, b, copy, final]")
    assert [Path(key.path or "").name for key in used.adapters] == ["a", "b", "final"]
    assert [list(used.notes_on(key)) for key in used.adapters] == [
        ["copy contains the same files as a; the adapter is evaluated once, as a"],
        ["final contains the same adapter; both are evaluated, because other files differ"],
        ["b contains the same adapter; both are evaluated, because other files differ"],
    ]


def test_null_adapters_that_a_pattern_leaves_out_are_named(folder: Path) -> None:
    (folder / "out" / "checkpoint-5" / "adapter_config.json").unlink()
    entry = "  - {name: n, kind: null_adapter, family: yours, adapters: ['out/*']}\n"
    (folder / "sway.yaml").write_text(SPEC.format(adapter="a") + entry)
    found = [note.message for note in load_suite(folder / "sway.yaml").notes]
    says = "suite[1].adapters: out/checkpoint-5 is not used as a null adapter: contains no adapter_config"
    assert any(message.startswith(says) for message in found)


def test_a_folder_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user who may not read it; root may read everything."""
    closed = folder / "out" / "checkpoint-5"
    (closed / "adapter_config.json").unlink()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != closed)
    assert left_out(folder, "out/*") == {"out/checkpoint-5": "cannot be read: permission denied"}
    with pytest.raises(SpecError, match="cannot be read"):
        suite(folder, "[a, out/checkpoint-5]")


@pytest.mark.parametrize("adapter", ["'['", "'~nosuch/*'", f"'{'x' * 300}*'"])
def test_a_pattern_that_nothing_can_match_is_reported(folder: Path, adapter: str) -> None:
    with pytest.raises(SpecError, match="no adapter folder matches"):
        suite(folder, adapter)
