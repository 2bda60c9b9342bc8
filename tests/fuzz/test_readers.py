"""Whatever a file contains, it is read or refused: found cases in every run, new ones by the thousand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.reader import check
from tests.fuzz.readers import READERS

CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(file for file in CORPUS.glob("*/*") if file.is_file())


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_a_found_case(file: Path, tmp_path: Path) -> None:
    check(READERS[file.parent.name], file.read_bytes(), tmp_path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_sound_contents_are_read(name: str, tmp_path: Path) -> None:
    """What refuses a changed content is the change, and not what fuzzing begins with."""
    reader = replace(READERS[name], refusals=())
    for content in reader.sound:
        check(reader, content, tmp_path)


def _fuzz(name: str, folder: Path, examples: int) -> None:
    reader = READERS[name]

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(reader.contents)
    def read(content: bytes) -> None:
        check(reader, content, folder)

    read()


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_any_content(name: str, tmp_path: Path) -> None:
    _fuzz(name, tmp_path, READERS[name].examples // 100)


@pytest.mark.nightly
@pytest.mark.parametrize("name", READERS)
def test_ten_thousand_contents(name: str, tmp_path: Path) -> None:
    _fuzz(name, tmp_path, READERS[name].examples)
