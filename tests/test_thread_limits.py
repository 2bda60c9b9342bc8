"""How many cores a process may use, and how torch's threads wait where an item of ours imports it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_sway import thread_limits
from pytest_sway.thread_limits import core_share, count_is_set, cpu_quota, expect_subjects, sleeping_waits


@pytest.fixture(autouse=True)
def _no_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_limits, "_expected", {})


@pytest.fixture
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not imported torch, whose user set nothing."""
    monkeypatch.delitem(sys.modules, "torch")
    for name in thread_limits._WAITING:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("workers", "subjects", "cores", "share"),
    [
        ("", None, 8, 8),  # no xdist
        ("4", None, 8, 2),
        ("3", None, 8, 2),
        ("16", None, 8, 1),
        ("8", 1, 8, 8),  # one suite keeps one worker busy, and the others have nothing of ours to do
        ("8", 3, 8, 2),
        ("2", 5, 8, 4),
        ("0", None, 4, 4),
        ("many", None, 4, 4),
    ],
)
def test_busy_workers_share_the_cores(workers: str, subjects: int | None, cores: int, share: int) -> None:
    if subjects is not None:
        expect_subjects(subjects)
    assert core_share({"PYTEST_XDIST_WORKER_COUNT": workers} if workers else {}, cores) == share


@pytest.mark.parametrize(
    ("environment", "is_set"),
    [
        ({}, False),
        ({"OMP_NUM_THREADS": "3"}, True),
        ({"MKL_NUM_THREADS": "3"}, True),
        ({"OMP_NUM_THREADS": ""}, False),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, False),
    ],
)
def test_a_number_that_the_user_set_is_seen(environment: dict[str, str], is_set: bool) -> None:
    assert count_is_set(environment) is is_set


def _files(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),  # version 2, in a container
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "400000 100000"}, 2.0),  # one above
        ("2:cpu,cpuacct:/\n1:memory:/x\n", {"cpu,cpuacct/cpu.cfs_quota_us": "300000"}, None),  # no period
        (
            "2:cpu,cpuacct:/a\n0::/\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "50000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("2:memory:/\n", {"memory/cpu.max": "1 1"}, None),
        ("0::/elsewhere\n", {"cpu.max": "100000 100000"}, 1.0),  # its group is not mounted here
        ("", {"cpu.max": "100000 100000"}, None),
        ("0::/\n", {"cpu.max": "what is this"}, None),
    ],
)
def test_the_quota_of_the_control_groups(
    tmp_path: Path, groups: str, files: dict[str, str], quota: float | None
) -> None:
    _files(tmp_path, {"of_process": groups})
    _files(tmp_path / "mount", files)
    assert cpu_quota(tmp_path / "mount", tmp_path / "of_process") == quota


def test_less_than_one_core_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_limits, "cpu_quota", lambda *_: 0.5)
    assert thread_limits.usable_cores() == 1


def test_threads_sleep_while_waiting_and_environment_is_restored(without_torch: None) -> None:
    seen: list[str] = []

    def failing() -> None:
        with sleeping_waits():
            seen.append(os.environ["OMP_WAIT_POLICY"])
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        failing()
    assert seen == ["PASSIVE"]
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.parametrize("name", thread_limits._WAITING)
def test_what_the_user_set_stays(without_torch: None, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "0")
    before = dict(os.environ)
    with sleeping_waits():
        assert dict(os.environ) == before
    assert dict(os.environ) == before


def test_nothing_is_set_once_torch_is_there() -> None:
    assert "torch" in sys.modules
    before = dict(os.environ)
    with sleeping_waits():
        assert dict(os.environ) == before


def test_only_items_of_ours_change_how_threads_wait(project: pytest.Pytester, without_torch: None) -> None:
    """A backend is loaded with sleeping waits; a test that uses nothing of ours sees no change."""
    project.makeconftest(
        """
        import os
        from tests.support import fake_models

        def pytest_sway_backend(config, model):
            assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
            return fake_models.backend(model)
        """
    )
    project.makepyfile(
        test_after="""
        import os

        def test_plain():
            assert "OMP_WAIT_POLICY" not in os.environ
        """
    )
    result = project.runpytest_inprocess("sway.yaml", "test_after.py", "-k", "dk or plain")
    result.assert_outcomes(passed=2, deselected=3)
