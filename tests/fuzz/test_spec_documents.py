"""The specs that fuzzing begins with are sound, so that what refuses a changed one is the change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pytest_sway.probes.registry import kinds
from tests.fuzz.spec_documents import documents
from tests.fuzz.spec_readers import READERS, load


@pytest.mark.filterwarnings("ignore")
def test_every_sound_spec_is_read(tmp_path: Path) -> None:
    READERS[0].beside(tmp_path)
    read = set()
    for document in documents():
        (tmp_path / "sway.yaml").write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        read |= {entry.probe.kind for entry in load(tmp_path / "sway.yaml").entries}
    assert read == set(kinds())
