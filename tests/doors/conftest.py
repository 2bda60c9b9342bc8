"""A project that evaluates a fake adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fake_models import SPEC
from tests.support.paths import ROOT

CONFTEST = """
import sys
sys.path.insert(0, {root!r})
from tests.support import fake_models

def pytest_sway_backend(config, model):
    return fake_models.backend(model)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a spec, an adapter, and a conftest that serves the model."""
    folder = tmp_path / "project"
    (folder / "adapters" / "good").mkdir(parents=True)
    (folder / "adapters" / "good" / "adapter_config.json").write_text("{}")
    (folder / "conftest.py").write_text(CONFTEST.format(root=str(ROOT)))
    (folder / "sway.yaml").write_text(SPEC)
    return folder
