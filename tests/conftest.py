"""What every test shares.

The imports below stand before any in-process run of pytest under pytest: such a run forgets the modules
that it imported, and numpy and torch cannot be imported twice (hypothesis would be, at every end).
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; read when torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import peft  # noqa: F401
import pytest
import torch  # noqa: F401
import transformers.models.auto.tokenization_auto
import transformers.models.llama.modeling_llama  # noqa: F401

import pytest_sway.backends.hf.backend
import pytest_sway.backends.hf.load_backend
import pytest_sway.backends.hf.null_weights
import pytest_sway.items.engine_setup
import pytest_sway.items.marks
import pytest_sway.items.outcome
import pytest_sway.items.suite_planning
import pytest_sway.reports.json_report
import pytest_sway.reports.junit
import pytest_sway.reports.step_summary
import pytest_sway.reports.terminal  # noqa: F401
from pytest_sway.probes import registry
from tests.support.fake_models import SPEC
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["pytester"]

# the same examples in every run, and no deadline: a slow machine is no bug
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("steady")

for kind in registry.kinds():
    registry.find(kind)

gc.freeze()  # every run within a run collects garbage, and need not look through torch each time


@pytest.fixture(scope="module", autouse=True)
def _cache_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No fixture of a module reads what another module kept, nor what the user did."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path_factory.mktemp("answers")))
        yield


@pytest.fixture(autouse=True)
def _cache_of_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads what another one kept."""
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path_factory.mktemp("answers")))
    monkeypatch.delenv("SWAY_DISABLE_NULL_CACHE", raising=False)


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project whose tests run in their order, also where pytest-randomly is installed, and know ours."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:randomly")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    return pytester


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project on fake models with a good adapter, answered by ``tests/support/fake_models.py``."""
    pytester.makeconftest(
        """
        from tests.support import fake_models

        def pytest_sway_backend(config, model):
            return fake_models.backend(model)
        """
    )
    pytester.makefile(".yaml", sway=SPEC)
    return pytester


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Named by ``SWAY_BROWSER``, else found; without either there is nothing to test in."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("SWAY_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no browser: install chromium, or name one as SWAY_BROWSER")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()
