"""Some of the real-model set, made and evaluated anew; the whole set is made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import __main__ as make
from . import evaluate
from .base import PACKAGES, skip_unless_installed

MADE = ("healthy", "sft_gentle", "shuffled_answers", "three_steps", "noise", "overscaled")


@pytest.mark.nightly
def test_no_verdict_contradicts_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_unless_installed(*PACKAGES, "trl")
    monkeypatch.setattr("sys.argv", ["make", str(tmp_path), "--only", *MADE])
    make.main()
    monkeypatch.setattr("sys.argv", ["evaluate", str(tmp_path)])
    assert evaluate.main() == 0
