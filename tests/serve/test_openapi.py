"""schemathesis asks a real daemon whatever its OpenAPI document allows, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sway.serve.request_specs import Allowed
from pytest_sway.serve.settings import ServeSettings
from tests.serve.test_http import Serving, serving  # noqa: F401 - a fixture

_EXAMPLES = 300
_CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"


@pytest.mark.nightly
def test_no_request_breaks_it(serving: Serving, tmp_path: Path) -> None:  # noqa: F811
    environment = tmp_path / "venv"  # its own: it pins versions of what we test with
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "-q", "schemathesis>=4.32"], check=True)
    port = serving(ServeSettings(most_requests=10**9, allowed=Allowed((tmp_path.resolve(),))))
    command = [environment / "bin" / "st", "run", f"http://127.0.0.1:{port}/openapi.json"]
    command += ["--checks", _CHECKS, "--max-examples", str(_EXAMPLES), "--seed", "0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    print(found.stdout)  # noqa: T201 - the figures of the nightly run
    assert found.returncode == 0, found.stdout
