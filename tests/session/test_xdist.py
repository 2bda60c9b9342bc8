"""Under ``-n``: the same verdicts, composite, gate and files; a model is loaded once per worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support import worker_project
from tests.support.fake_models import SPEC
from tests.support.paths import QUICKSTART

MODES = [
    ["-n", "0"],
    ["-n", "2"],
    ["-n", "2", "--dist", "worksteal"],
    ["-n", "2", "--dist", "loadfile"],
    ["-n", "2", "--dist", "loadscope"],
    ["-n", "2", "--dist", "loadgroup"],
    ["-n", "2", "--dist", "each"],
    ["--tx", "2*popen", "--dist", "load", "--maxschedchunk", "1"],
]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_every_mode_gives_what_a_run_alone_gives(pytester: pytest.Pytester, mode: list[str]) -> None:
    worker_project.make(pytester)
    alone = worker_project.run(pytester, "alone", "-p", "no:xdist")
    assert alone[0] == 1  # the weak adapter fails its gate
    assert len(alone[1]) == 5
    assert worker_project.run(pytester, "spread", *mode) == alone
    scheduled = "0" not in mode and "each" not in mode
    if scheduled or pytest.version_tuple >= (9, 2):  # before, pytest did not group by model over files
        for loads in worker_project.logged(pytester, "load").values():
            assert max(loads.values()) == 1
    asking = worker_project.logged(pytester, "null")
    assert len(asking) == (1 if "0" in mode else 2)
    if scheduled:
        for adapter in set().union(*asking.values()):
            assert sum(adapter in asked for asked in asking.values()) == 1


REAL = """\
version: 1
models:
  base: {{kind: hf, base: {base}}}
  ft: {{kind: hf, base: {base}, adapter: {adapter}}}
suite:
  - {{name: baseline, kind: null_adapter, runs: 8, exact_runs: true}}
  - name: moved
    kind: delta_kl
    prompts: [The master of the works is, The furnace is called the, A new pane costs]
"""
REAL_CONFTEST = """
import os

def pytest_sway_backend(config, model):
    from pytest_sway.backends.hf.load_backend import load_backend
    with (config.rootpath / "log.txt").open("a") as file:
        file.write(f"{os.getpid()} load {os.path.basename(model.base)}\\n")
    return load_backend(model)
"""


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same number of threads with and without workers, which share the cores: sums differ with it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # of this process, which has torch already
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_a_real_model_is_loaded_once_per_worker(pytester: pytest.Pytester, one_thread: None) -> None:
    """A spec and a marked test of one subject, and a spec of another: two workers, two loads."""
    base, adapters = QUICKSTART / "base", QUICKSTART / "adapters"
    for name, adapter in (("sway", "healthy"), ("random.sway", "random")):
        (pytester.path / f"{name}.yaml").write_text(REAL.format(base=base, adapter=adapters / adapter))
    pytester.makeconftest(REAL_CONFTEST)
    pytester.makepyfile(test_marked=worker_project.MARKED)
    alone = worker_project.run(pytester, "alone", "-p", "no:xdist")
    assert [len(models) for models in worker_project.logged(pytester, "load").values()] == [1]
    assert worker_project.run(pytester, "spread", "-n", "2") == alone
    loads = worker_project.logged(pytester, "load")
    assert [dict(models) for models in loads.values()] == [{"base": 1}, {"base": 1}]
    verdicts = {name: [p["verdict"] for p in told["probes"]] for name, told in alone[1].items()}
    assert verdicts["sway.yaml.json"] == ["pass", "pass"]
    assert verdicts["random.sway.yaml.json"] == ["pass", "fail"]


def _heed_ctrl_c() -> None:
    """A shell starts what runs in its background with the signal ignored, and so do all its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_ctrl_c_leaves_whole_files(project: pytest.Pytester) -> None:
    """As a terminal does it: every process gets the signal."""
    project.makeconftest(
        """
        import time
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.requests import Divergence

        def pytest_sway_backend(config, model):
            def answer(request):
                if isinstance(request, Divergence) and "linger" in str(request.prompt):
                    (config.rootpath / "lingers").touch()
                    time.sleep(60)
                return fake_models.answer(request)
            return FakeBackend(answer)
        """
    )
    last = SPEC.rindex("prompts: [one")
    project.makefile(".yaml", sway=SPEC[:last] + SPEC[last:].replace("one", "linger", 1))
    command = [sys.executable, "-m", "pytest", "-n", "2", "--sway-json=out.json", "--junitxml=out.xml"]
    run = subprocess.Popen(
        command,
        cwd=project.path,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_heed_ctrl_c,
    )
    while not (project.path / "lingers").exists():
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    text, _ = run.communicate(timeout=60)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "1 probe planned but not reported: talk" in text
    told = json.loads((project.path / "out.json").read_text())
    assert [probe["name"] for probe in told["probes"]] == ["baseline", "dk", "curve"]
    cases = {name for _, name, *_ in worker_project.testcases(project.path / "out.xml")}
    assert cases == {
        "baseline",
        "dk",
        "curve",
        "gate",
        None,
    }  # pytest opens the one that was set up, without a name


BOOM = """
from pathlib import Path
import worker_conftest
from worker_conftest import log
import os

def pytest_sway_backend(config, model):
    backend = worker_conftest.pytest_sway_backend(config, model)
    served = backend.answer

    def answer(requests):
        if "boom" in str(requests) and not (config.rootpath / "once").exists():
            os._exit(3)
        return served(requests)

    backend.answer = answer
    return backend
"""
"""A worker that is asked about ``boom`` dies."""
DEADLY = SPEC.replace("prompts: [one, two", "prompts: [boom, two", 1)  # in dk, the second of four


@pytest.fixture
def deadly(pytester: pytest.Pytester) -> pytest.Pytester:
    worker_project.make(pytester)
    (pytester.path / "conftest.py").rename(pytester.path / "worker_conftest.py")
    pytester.makeconftest(BOOM)
    (pytester.path / "sway.yaml").write_text(DEADLY, encoding="utf-8")
    for other in ("weak.sway.yaml", "fleet.sway.yaml", "test_marked.py"):
        (pytester.path / other).unlink()
    return pytester


@pytest.mark.slow
def test_a_crashed_worker_fails_the_gate_and_the_rest_runs(deadly: pytest.Pytester) -> None:
    found = deadly.runpytest("-n", "1", "--sway-json=out.json")
    assert found.ret == 1
    found.assert_outcomes(passed=9, failed=1, skipped=1)
    found.stdout.fnmatch_lines(
        ["GATE FAILED*", "  - 1 probe planned but not reported: dk (its worker crashed)"]
    )
    loads = worker_project.logged(deadly, "load")
    assert [dict(models) for models in loads.values()] == [{"fakellm": 1}, {"fakellm": 1}]
    told = json.loads((deadly.path / "out.json").read_text())
    assert [probe["name"] for probe in told["probes"]] == ["baseline", "curve", "talk"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "reported", "lost"),
    [
        (["-n", "2"], ["baseline", "curve", "talk"], "dk (its worker crashed)"),
        (["-n", "1", "--max-worker-restart=0"], ["baseline"], "dk (its worker crashed), curve, talk"),
        # xdist counts no crash for -x
        (["-n", "1", "-x"], ["baseline", "curve", "talk"], "dk (its worker crashed)"),
        (["-n", "1", "-p", "no:terminal"], ["baseline", "curve", "talk"], "dk (its worker crashed)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_crash_under_every_option(
    deadly: pytest.Pytester, arguments: list[str], reported: list[str], lost: str
) -> None:
    found = deadly.runpytest(*arguments, "--sway-json=out.json", "--junitxml=out.xml")
    assert found.ret != 0
    told = json.loads((deadly.path / "out.json").read_text())
    assert [probe["name"] for probe in told["probes"]] == reported
    assert told["gate"]["reasons"][0].endswith(f"planned but not reported: {lost}")
    assert ("sway.yaml", "dk", ("error",), ()) in worker_project.testcases(deadly.path / "out.xml")
    assert f"not reported: {lost}" in found.stdout.str() + found.stderr.str()


@pytest.mark.slow
def test_what_a_plugin_reruns_after_a_crash_is_reported(deadly: pytest.Pytester) -> None:
    """pytest-rerunfailures puts a crashed item back into the queue."""
    pytest.importorskip("pytest_rerunfailures")
    conftest = deadly.path / "conftest.py"
    dies_once = conftest.read_text().replace(
        "os._exit(3)", '((config.rootpath / "once").touch(), os._exit(3))'
    )
    conftest.write_text(dies_once)
    found = deadly.runpytest("-n", "1", "--reruns=1", "-p", "rerunfailures", "sway.yaml")
    assert found.ret == 0
    found.stdout.fnmatch_lines(["GATE PASSED", "*4 passed, 1 rerun*"])


@pytest.mark.slow
def test_plans_leave_nothing_behind(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    project.runpytest("-n", "1", "sway.yaml").assert_outcomes(passed=4)
    assert list(tmp_path.glob("pytest-sway-*")) == []


@pytest.mark.slow
def test_a_worker_elsewhere_sends_its_plan_with_its_output(project: pytest.Pytester) -> None:
    """On another machine there is no folder of the controller's."""
    project.makeconftest(
        """
        from tests.support import fake_models
        import pytest

        def pytest_sway_backend(config, model):
            return fake_models.backend(model)

        @pytest.hookimpl(optionalhook=True, trylast=True)
        def pytest_configure_node(node):
            node.workerinput["sway_plans"] = "/nowhere"
        """
    )
    found = project.runpytest("-n", "2", "sway.yaml")
    assert found.ret == 0
    found.stdout.fnmatch_lines(["GATE PASSED"])
    found.assert_outcomes(passed=4)


@pytest.mark.slow
def test_xdist_is_known_by_any_name(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where plugins do not load by themselves, people name its module."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    found = project.runpytest("-p", "pytest_sway", "-p", "xdist.plugin", "-n", "2", "-v", "sway.yaml")
    found.stdout.fnmatch_lines(
        ["2 workers*4 items*", "scheduling tests via SubjectScheduling", "GATE PASSED"]
    )


def test_without_xdist_nothing_is_missed(project: pytest.Pytester) -> None:
    project.runpytest("-p", "no:xdist").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    "plugin", ["no:cacheprovider", "no:terminal", "no:junitxml", "no:timeout", "no:logging", "no:capture"]
)
def test_it_lives_without_others(project: pytest.Pytester, plugin: str) -> None:
    assert project.runpytest("-p", plugin, "sway.yaml").ret == 0
