"""The chain: what is loaded, how often, and what is told when it fails."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.support import fake_models, peft_adapters
from tests.support.fake_models import SPEC
from tests.support.paths import QUICKSTART, ROOT


@pytest.fixture(autouse=True)
def _no_loads() -> None:
    fake_models.LOADS.clear()


def test_two_specs_on_one_base_load_it_once(project: pytest.Pytester) -> None:
    other_base, other_adapter = SPEC.replace(": fakellm", ": fakellm-2"), SPEC.replace("good", "other")
    for name, text in {"a": SPEC, "b": other_base, "c": other_adapter}.items():
        (project.path / f"{name}.sway.yaml").write_text(text)
    project.runpytest("a.sway.yaml", "b.sway.yaml", "c.sway.yaml").assert_outcomes(passed=12)
    assert set(fake_models.LOADS) == {"fakellm", "fakellm-2"}
    # before 9.2 pytest groups by a parameter's index, so it does not bring a's and c's items together
    assert len(fake_models.LOADS) == (2 if pytest.version_tuple >= (9, 2) else 3)


def test_a_code_first_test_shares_the_model_of_its_spec(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pytest_sway.probes.delta_kl import DeltaKL

        def test_before(sway): assert sway(DeltaKL(prompts=["a"])).raw > 0.1
        """
    )
    project.runpytest(project.path).assert_outcomes(passed=5)
    assert fake_models.LOADS == ["fakellm"]


def test_part_of_the_chain_shares_the_model_too(project: pytest.Pytester) -> None:
    project.makepyfile("def test_backend(sway_backend, sway_engine): assert sway_backend.capabilities")
    project.runpytest(project.path).assert_outcomes(passed=5)
    assert fake_models.LOADS == ["fakellm"]


def test_the_users_own_parameters_of_the_chain_are_kept(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from pytest_sway.backends.base import AdapterKey

        @pytest.mark.parametrize("sway_adapter", [AdapterKey("a"), AdapterKey("b")], indirect=True)
        def test_it(sway, sway_adapter): pass
        """
    )
    project.runpytest("test_the_users_own_parameters_of_the_chain_are_kept.py").assert_outcomes(passed=2)


def test_a_limit_holds_for_code_first_tests_too(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pytest_sway.probes.base import ProbeOptions
        from pytest_sway.probes.delta_kl import DeltaKL

        class Options(ProbeOptions):
            prompts: dict[str, int] = {}
            items: str = "all"
            max_chunks: str = "many"

        def test_it(sway):
            assert len(sway(DeltaKL(prompts=["a", "b", "c"])).samples) == 2
            odd = Options(prompts={"a": 1})
            assert odd.limited(2) == odd
        """
    )
    project.runpytest(project.path, "-k", "test_it", "--sway-limit=2").assert_outcomes(passed=1, deselected=4)


def test_a_failed_load_is_tried_once_and_one_line_per_item(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", "base: broken"))
    result = project.runpytest("--no-header")
    result.assert_outcomes(errors=4)
    assert fake_models.LOADS == ["broken"]
    told = [line for line in result.outlines if line == "no backend: the disk is on fire"]
    assert len(told) == 4
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.fnmatch_lines(["FAILED: could not be measured. No probe has a result*"])
    result.stdout.fnmatch_lines(["*4 probes ended in an error: baseline, dk, curve, talk*"])
    assert result.ret == 1


def test_the_measure_runs_in_the_call_phase(project: pytest.Pytester) -> None:
    project.makepyfile(
        conftest="""
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend

        PHASES = []

        def answer(request):
            PHASES.append(CURRENT[0])
            return fake_models.answer(request)

        CURRENT = [""]

        def pytest_runtest_setup(item): CURRENT[0] = "setup"
        def pytest_runtest_call(item): CURRENT[0] = "call"
        def pytest_runtest_teardown(item): CURRENT[0] = "teardown"
        def pytest_sway_backend(config, model): return FakeBackend(answer)
        def pytest_unconfigure(config): print("PHASES", set(PHASES))
        """
    )
    project.runpytest("-s").stdout.fnmatch_lines(["*PHASES {'call'}*"])


def test_a_conftest_overrides_each_fixture(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import pytest
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.backends.null_population import NullPopulation

        @pytest.fixture(scope="session")
        def sway_backend():
            return FakeBackend(fake_models.answer)

        @pytest.fixture(scope="session")
        def sway_null():
            return NullPopulation(reason="not here")
        """
    )
    result = project.runpytest("sway.yaml::dk")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*(floor 0.02; not compared with random*",
            "*not compared with random (null) adapters: dk (not here)*",
        ]
    )
    assert fake_models.LOADS == []


def test_nulls_are_not_asked_of_an_object_without_add_null(project: pytest.Pytester) -> None:
    """It may name them in an older form of the interface, and answer them as the adapter."""
    project.makeconftest(
        """
        import pytest
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend

        class Duck:
            def __init__(self):
                served = FakeBackend(fake_models.answer)
                self.capabilities, self.answer = served.capabilities, served.answer
                self.attach, self.detach, self.close = served.attach, served.detach, served.close

        @pytest.fixture(scope="session")
        def sway_backend():
            return Duck()
        """
    )
    result = project.runpytest("sway.yaml::dk")
    result.stdout.fnmatch_lines(
        ["*not compared with random (null) adapters: dk (the backend does not support*"]
    )


def test_a_hook_given_to_main_serves_the_models(project: pytest.Pytester) -> None:
    project.makeconftest("")

    class Serving:
        def pytest_sway_backend(self, model: object) -> object:
            return fake_models.backend(model)  # type: ignore[arg-type]

    result = project.inline_run("sway.yaml", plugins=[Serving()])
    result.assertoutcome(passed=4)


def test_a_kind_that_nobody_serves_is_reported(project: pytest.Pytester) -> None:
    project.makeconftest("")
    project.makefile(".yaml", sway=SPEC)
    result = project.runpytest("sway.yaml::dk")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["no backend: kind: dummy is not supported by this version*"])


@pytest.mark.parametrize("disabled", ["enabled: false", "weight: 1.0, enabled: no"])
def test_a_disabled_probe_is_skipped_without_a_model(project: pytest.Pytester, disabled: str) -> None:
    project.makefile(
        ".yaml",
        sway=SPEC.split("suite:")[0]
        + f"""suite:
  - {{name: dk, kind: delta_kl, prompts: [a], {disabled}}}
""",
    )
    result = project.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*disabled in spec*"])
    assert fake_models.LOADS == []


def test_a_pre_run_probe_loads_no_model(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC + "  - {name: s, kind: training_drift, store_path: .}\n")
    project.makepyfile(
        test_marked="""
        import pytest

        @pytest.mark.sway("sway.yaml")
        def test_it(): pass
        """
    )
    project.runpytest("sway.yaml::s", "test_marked.py::test_it[s]").assert_outcomes(skipped=2)
    assert fake_models.LOADS == []


def test_nan_is_an_error_and_never_a_score(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", "base: nan"))
    result = project.runpytest("--sway-json=out.json", "sway.yaml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR delta_kl: *NaN or infinity*"])
    text = (project.path / "out.json").read_text()
    json.loads(text, parse_constant=pytest.fail)
    assert '"non_finite_inputs"' in text


def test_an_inert_adapter_is_reported_first_and_reads_zero(project: pytest.Pytester) -> None:
    project.makefile(".yaml", sway=SPEC.replace("base: fakellm", "base: inert"))
    result = project.runpytest("--no-header", "sway.yaml")
    result.stdout.fnmatch_lines(
        [
            "FAILED: inert. The adapter changes nothing: its update is zero*",
            "  • dk: the adapter is inert:*",
            "adapter *",
        ]
    )
    result.stdout.fnmatch_lines(
        ["FAIL delta_kl: the adapter is inert: its update is zero, so it changes nothing*"]
    )


@pytest.mark.slow
def test_without_torch_only_hf_fails_and_says_what_to_install(project: pytest.Pytester) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nsys.modules['torch'] = None\n" + conftest.read_text()
    )
    project.runpytest_subprocess("sway.yaml").assert_outcomes(passed=4)
    conftest.write_text("import sys\nsys.modules['torch'] = None\n")
    spec = SPEC.replace("kind: dummy", "kind: hf").replace(
        "adapters/good", str(QUICKSTART / "adapters" / "healthy")
    )
    project.makefile(".yaml", sway=spec)
    result = project.runpytest_subprocess("sway.yaml::dk")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["no backend: kind: hf needs torch; install it with: pip install 'pytest-sway[[]hf]'"]
    )


WHOLE = f"""
version: 1
models:
  base: {{kind: hf, base: {QUICKSTART}/base, dtype: fp32, device: cpu}}
  ft: {{kind: hf, base: TUNED, dtype: fp32, device: cpu}}
DEFAULTS
suite:
  - {{name: baseline, kind: null_adapter, runs: 8, family: FAMILY}}
  - {{name: dk, kind: delta_kl, positions: 1, prompts: [The harbour, She said, A lamp, In spring, The oil]}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dora", "full"])
@pytest.mark.parametrize("family", ["norm_matched", "signs"])
def test_full_tensors_have_nulls_unless_the_family_is_unfit(
    pytester: pytest.Pytester, form: str, family: str
) -> None:
    folder = pytester.path / "tuned"
    text = WHOLE.replace("TUNED, ", f"{QUICKSTART}/base, adapter: tuned, ").replace("DEFAULTS", "")
    if form == "dora":
        peft_adapters.save_adapter(folder, peft_adapters.lora(use_dora=True))
    else:
        model = peft_adapters.base_model()
        model.model.norm.weight.data *= 0.7
        model.save_pretrained(folder)
        text = WHOLE.replace("TUNED", "tuned").replace("DEFAULTS", "defaults: {differential: false}")
    (pytester.path / "sway.yaml").write_text(text.replace("FAMILY", family))
    result = pytester.runpytest("sway.yaml", "-rs", "-v")
    result.stdout.fnmatch_lines(["*adapter *tuned* on *quickstart/base*"])
    if family == "norm_matched":
        random = form == "dora"  # and so it is no more than its nulls are
        result.assert_outcomes(passed=2 - random, failed=int(random))
        rank = r"not beyond \d+ of" if random else "beyond all"
        told = " ".join(result.stdout.str().split())
        assert re.search(rf"{rank} 8 random adapters \(norm_matched\), which range [^,]*, p ", told)
        return
    result.assert_outcomes(passed=1, failed=1)  # asked for and not to be had: the gate may not pass
    why = "family 'signs' needs LoRA factors"
    told = [
        f"ERROR null_adapter: {why}*",
        "*(floor 0.02; not compared with random*",
        "*not compared with random (null) adapters: dk (family*",
    ]
    result.stdout.fnmatch_lines(told)


def test_a_probe_knows_how_long_a_text_the_model_reads(pytester: pytest.Pytester) -> None:
    """In an entry of a spec and in a code-first test."""
    pytester.makeconftest(
        """
        from tests.support import fake_models
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.requests import Tokenized, Tokens

        def answer(request):
            if isinstance(request, Tokens):
                return Tokenized(range(len(request.text)), range(1, len(request.text) + 1))
            return fake_models.answer(request)

        class Short(FakeBackend):
            context = 600

        def pytest_sway_backend(config, model): return Short(answer)
        """
    )
    long = {"name": "long", "kind": "prompt_collapse", "prompts": ["one", "two"]}
    spec = {**yaml.safe_load(SPEC), "suite": [long]}
    pytester.makefile(".yaml", sway=yaml.safe_dump(spec))
    pytester.makepyfile(
        """
        from pytest_sway.probes.prompt_collapse import PromptCollapse

        def test_it(sway):
            left_out = sway(PromptCollapse(prompts=["one", "two"])).evidence["lengths_left_out"]
            assert left_out == [1024]
        """
    )
    pytester.runpytest(pytester.path, "--sway-json=out.json").assert_outcomes(passed=2)
    found = json.loads((pytester.path / "out.json").read_text())
    assert found["probes"][0]["evidence"]["lengths_left_out"] == [1024]


def test_an_overridden_result_of_no_kind_fails_the_run(project: pytest.Pytester) -> None:
    """The other probes are measured, reported and gated."""
    conftest = project.path / "conftest.py"
    conftest.write_text(
        conftest.read_text()
        + """
import pytest
from pytest_sway.result import ProbeResult, Verdict

@pytest.fixture
def sway_result(request, sway_result):
    odd = ProbeResult("dk", "delta_kl", Verdict.PASS, "", claim="of my own")
    return odd if request.node.name == "dk" else sway_result
"""
    )
    result = project.runpytest("sway.yaml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*GATE FAILED*", "sway.yaml::dk: the result of this test cannot be read: *"])
