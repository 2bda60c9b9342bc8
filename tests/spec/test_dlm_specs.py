"""Specs of dlm-sway are accepted, or ``docs/dlm-sway-specs.md`` says why not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.adapter_stubs import adapter_stub
from tests.support.dlm_specs import FOLDER, combinations, single_variations, texts
from tests.support.dlm_table import TableRow, accepted_by_dlm_sway, explained_by, refusals, rows

RECORDED: list[str] = json.loads((FOLDER / "accepted.json").read_text(encoding="utf-8"))
PYTHON = os.environ.get("SWAY_DLM_PYTHON", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    adapter_stub(tmp_path / "adapter")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWAY_NOT_SET", raising=False)
    return tmp_path


def compared(folder: Path, accepted: list[str]) -> tuple[list[str], set[TableRow]]:
    """Of specs that dlm-sway accepts: what no row explains, and the rows that were needed."""
    table = rows()
    unexplained, needed = [], set()
    for text in accepted:
        for line in refusals(folder, text):
            found = explained_by(line, text, table)
            needed |= set(found)
            if not found:
                unexplained.append(f"{line}\n{text}")
    return unexplained, needed


def test_what_dlm_sway_accepted_is_accepted_or_in_the_table(folder: Path) -> None:
    unexplained, needed = compared(folder, RECORDED)
    assert unexplained == []
    assert set(rows()) - needed == set()


@pytest.mark.nightly
@pytest.mark.skipif(not PYTHON, reason="SWAY_DLM_PYTHON names no interpreter with dlm-sway 0.1.0")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_validators_agree_on_generated_specs(folder: Path, seed: int) -> None:
    specs = texts([*single_variations(), *combinations(seed, 2000)])
    verdicts = accepted_by_dlm_sway(PYTHON, specs)
    accepted = [text for text, right in zip(specs, verdicts, strict=True) if right]
    assert len(accepted) > len(specs) / 3, "nearly all specs are refused by dlm-sway itself"
    unexplained, needed = compared(folder, accepted)
    assert unexplained == []
    assert set(rows()) - needed == set()
