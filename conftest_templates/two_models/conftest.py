"""The models of code-first tests are those of the spec beside this file, wherever pytest is started."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def sway_spec():
    return Path(__file__).with_name("sway.yaml")
