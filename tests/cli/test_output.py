"""What commands write to standard output, and read from it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import yaml

from pytest_sway.cli.main import main
from pytest_sway.cli.output import write_yaml
from tests.support.paths import ROOT

RESULT = ROOT / "tests" / "support" / "dlm-sway-0.1.0.json"
MINED = {"prompt": "see ##[x]\n::b\u200f"}


def test_yaml_is_unchanged_where_it_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = yaml.safe_dump(MINED, allow_unicode=True)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    write_yaml(text, None)
    assert yaml.safe_load(capsys.readouterr().out) == MINED
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    write_yaml(text, None)
    assert "##[" not in capsys.readouterr().out


def test_a_result_from_a_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As the shell passes it in ``sway report <(command)``."""
    reading, writing = os.pipe()
    content = RESULT.read_bytes()
    writer = threading.Thread(target=lambda: os.fdopen(writing, "wb").write(content))
    writer.start()
    try:
        assert main(["report", f"/dev/fd/{reading}"]) == 0
    finally:
        writer.join(30)
        os.close(reading)
    piped = capsys.readouterr().out
    assert main(["report", str(RESULT)]) == 0
    assert piped.replace(f"/dev/fd/{reading}", str(RESULT)) == capsys.readouterr().out


def test_a_pipe_that_nobody_may_write_to_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["report", str(tmp_path / "pipe")]) == 2
    assert "not a regular file" in capsys.readouterr().err
