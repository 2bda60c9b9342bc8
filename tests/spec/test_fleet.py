"""``models.ft.adapter`` as one folder, a list, or a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sway.items.suite import Suite, load_suite
from pytest_sway.spec.messages import SpecError

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
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "adapter_config.json").write_text("{}")
    (tmp_path / "out" / "runs").mkdir()
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
    assert list(suite(folder, "[a, out/checkpoint-9]").labels.values()) == ["a", "checkpoint-9"]


@pytest.mark.parametrize(
    ("adapter", "says"),
    [
        ("'nothing-*'", "3:36: models.ft.adapter: no adapter folder matches 'nothing-*'"),
        ("[a, lost]", "models.ft.adapter: there is no folder 'lost'"),
        ("[a, out]", "out holds no adapter_config.json itself"),
        ("[]", "models.ft.adapter is missing"),
        ("3", "models.ft.adapter: found 3, a number, and expected a text"),
        ("[a, 3]", "models.ft.adapter[1]: found 3, a number, and expected a text"),
    ],
)
def test_what_is_no_adapter_is_told(folder: Path, adapter: str, says: str) -> None:
    with pytest.raises(SpecError) as found:
        suite(folder, adapter)
    (line,) = str(found.value).splitlines()
    assert says in line


def test_the_command_line_takes_patterns_of_the_working_directory(folder: Path) -> None:
    assert names(folder, "a", ("../out/*-9", "../b")) == ["out/checkpoint-9", "b"]
    with pytest.raises(SpecError, match=r"--sway-adapter=\.\./x\*: no adapter folder matches it"):
        suite(folder, "a", ("../x*",))
