"""What stands in a file is shown as it is written, with what to write; files as other editors save them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.spec.problems import SpecError
from pytest_sway.user_error import UserError
from tests.support.adapter_stubs import adapter_stub

SPEC = """\
models:
  base: {kind: dummy, base: m}
  ft: {kind: dummy, base: m, adapter: a}
suite:
  - {name: dk, kind: delta_kl, prompts: [größe]}
"""


def load_spec(folder: Path, content: bytes) -> Suite:
    (folder / "sway.yaml").write_bytes(content)
    return load_suite(folder / "sway.yaml")


def problem(folder: Path, text: str) -> str:
    with pytest.raises(SpecError) as refused:
        load_spec(folder, text.encode())
    (line,) = str(refused.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("no", "false"),
        ("Yes", "true"),
        ("on", "true"),
        ("12:30", "the number 750"),
        ("0x1F", "the number 31"),
        ("017", "the number 15"),
        ("1_000", "the number 1000"),
        ("1.0e+3", "the number 1000.0"),
        ("2024-01-01", "a date"),
        ("2024-01-01 10:00:00", "a date"),
        ("null", "nothing"),
        ("~", "nothing"),
    ],
)
@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("prompts: [größe]", "prompts: [a, {}]", "suite[0].prompts[1]"),
        ("suite:", "controls: [{}]\nsuite:", "controls[0]"),
    ],
)
def test_an_unquoted_word_is_shown_as_written(
    tmp_path: Path, written: str, read_as: str, old: str, new: str, field: str
) -> None:
    text = SPEC.replace(old, new.format(written))
    line = problem(tmp_path, text)
    assert f"{field}: found {written}, which YAML reads as {read_as}. Put it in quotes: '{written}'" in line
    assert load_spec(tmp_path, SPEC.replace(old, new.format(f"'{written}'")).encode())


def test_a_number_and_an_empty_entry_have_words_of_their_own(tmp_path: Path) -> None:
    assert "found the number 1969, expected a string. Put it in quotes: '1969'" in problem(
        tmp_path, SPEC.replace("größe", "1969")
    )
    empty = SPEC.split("  - {")[0] + "  - name: dk\n    kind: delta_kl\n    prompts:\n      - a\n      -\n"
    says = "prompts[1]: found nothing, expected a string; add a string, or remove the entry"
    assert says in problem(tmp_path, empty)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("suite:", "on: 1\nsuite:", "found the key on, which YAML reads as true. Put it in quotes: 'on'"),
        ("kind: delta_kl", "kind: no", "suite[0].kind: there is no kind 'no'"),
        (
            "suite:",
            "sections: [{id: a, content: b, tags: [no]}]\nsuite:",
            "sections[0].tags[0]: found no, which",
        ),
        ("kind: delta_kl", "kind: [a]", "suite[0].kind: there is no kind ['a']"),
        ("name: dk", "name: ''", "suite[0]: missing name"),
        ("größe", "=", "if it is a string, put it in quotes"),
        ("größe", "2001-99-99", "if it is a string, put it in quotes"),
        ("adapter: a", "adapter: ${X:-a}", "put a string that contains braces in quotes"),
        ("adapter: a", "adapter: {{ x }}", "{{ name }} templates are not supported"),
        ("adapter: a", 'adapter: "C:\\models\\a"', "Write a path in single quotes"),
        ("adapter: a", 'adapter: "C:\\Users\\a"', "Write a path in single quotes"),
        (
            "suite:\n",
            "suite:\n  - name: x\n    kind:\u00a0delta_kl\n    prompts: [a]\n",
            "a no-break space (U+00A0)",
        ),
        ("suite:", "models: 3\nsuite:", "duplicate key 'models'"),
    ],
)
def test_the_cause_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert says in problem(tmp_path, SPEC.replace(old, new, 1))


@pytest.mark.parametrize("base", ["C:\\models\\base", "C:/models/base", "..\\base"])
def test_a_windows_path_is_no_name_on_the_hub(tmp_path: Path, base: str) -> None:
    text = SPEC.replace("kind: dummy", "kind: hf").replace("base: m", f"base: {base}")
    adapter_stub(tmp_path / "a")
    assert f"models.ft.base: there is no folder {base!r}" in problem(tmp_path, text)


def test_a_backslash_path_is_hinted_with_slashes_if_that_exists(tmp_path: Path) -> None:
    (tmp_path / "x" / "a").mkdir(parents=True)
    text = SPEC.replace("kind: dummy", "kind: hf").replace("adapter: a", "adapter: .\\x\\a")
    assert "did you mean ./x/a?" in problem(tmp_path, text)


def test_a_single_adapter_is_named_without_a_position(tmp_path: Path) -> None:
    line = problem(tmp_path, SPEC.replace("adapter: a", "adapter: no"))
    assert "models.ft.adapter: found no, which YAML reads as false" in line


def test_a_list_of_wrong_items_is_not_also_too_short(tmp_path: Path) -> None:
    case = "{name: p, kind: paraphrase_invariance, cases: [{prompt: a, gold: b, paraphrases: [no]}]}"
    assert "paraphrases[0]: found no" in problem(tmp_path, f"{SPEC}  - {case}\n")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_every_unicode_file_is_read(tmp_path: Path, encoding: str, newline: str) -> None:
    suite = load_spec(tmp_path, SPEC.replace("\n", newline).encode(encoding))
    assert suite.entries[0].probe.options.prompts == ["größe"]
    assert suite.entries[0].line == 5


def test_both_orders_of_bytes_are_read(tmp_path: Path) -> None:
    for mark, encoding in ((codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF16_LE, "utf-16-le")):
        assert load_spec(tmp_path, mark + SPEC.encode(encoding)).entries


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (SPEC.encode("utf-16-le"), "1:1: the file looks like UTF-16 without a byte order mark"),
        (SPEC.encode("utf-16-be"), "1:1: the file looks like UTF-16 without a byte order mark"),
        (
            SPEC.encode("utf-16")[:-1],
            "1:1: the file begins with the byte order mark of UTF-16 but is not valid UTF-16",
        ),
        (SPEC.encode("cp1252"), "5:1: byte 0xf6 is not UTF-8; save the file as UTF-8"),
    ],
)
def test_any_other_file_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_spec(tmp_path, content)
    assert str(refused.value).startswith(f"sway.yaml:{says}")


def test_keys_for_anchors_are_not_read(tmp_path: Path) -> None:
    text = "x-common: &common {kind: delta_kl, prompts: [a, b]}\nx-: 3\n"
    text += SPEC.replace("{name: dk, kind: delta_kl, prompts: [größe]}", "{name: dk, <<: *common}")
    assert load_spec(tmp_path, text.encode()).entries[0].probe.options.prompts == ["a", "b"]
    assert "x_common: unknown key 'x_common'" in problem(tmp_path, SPEC + "x_common: 3\n")


def test_a_message_repeats_every_script_as_it_is() -> None:
    text = "👩\u200d💻 می\u200cخواهم a\u00a0b\u3000c"
    assert str(UserError(text)) == text


def test_a_message_never_steers_the_terminal() -> None:
    error = UserError("the key \x1b[31m, \u202e and \ud800 of\nü.yaml")
    assert str(error) == "the key \\x1b[31m, \\u202e and \\ud800 of\nü.yaml"
