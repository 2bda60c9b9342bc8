"""The chain: what is loaded, how often, and what is told when it fails."""

from __future__ import annotations

import json
import re

import pytest
import yaml

import planting
from backends import adapters_made
from conftest import QUICKSTART, ROOT, SPEC


@pytest.fixture(autouse=True)
def _no_loads() -> None:
    planting.LOADS.clear()


def test_two_specs_on_one_base_load_it_once(planted: pytest.Pytester) -> None:
    other_base, other_adapter = SPEC.replace(": planted", ": planted-2"), SPEC.replace("good", "other")
    for name, text in {"a": SPEC, "b": other_base, "c": other_adapter}.items():
        (planted.path / f"{name}.sway.yaml").write_text(text)
    planted.runpytest("a.sway.yaml", "b.sway.yaml", "c.sway.yaml").assert_outcomes(passed=12)
    assert set(planting.LOADS) == {"planted", "planted-2"}
    # before 9.2 pytest groups by a parameter's index, so it does not bring a's and c's items together
    assert len(planting.LOADS) == (2 if pytest.version_tuple >= (9, 2) else 3)


def test_a_code_first_test_shares_the_model_of_the_spec_that_it_uses(planted: pytest.Pytester) -> None:
    planted.makepyfile(
        """
        from pytest_sway.probes.delta_kl import DeltaKL

        def test_before(sway): assert sway(DeltaKL(prompts=["a"])).raw > 0.1
        """
    )
    planted.runpytest(planted.path).assert_outcomes(passed=5)
    assert planting.LOADS == ["planted"]


def test_part_of_the_chain_shares_the_model_too(planted: pytest.Pytester) -> None:
    planted.makepyfile("def test_backend(sway_backend, sway_engine): assert sway_backend.capabilities")
    planted.runpytest(planted.path).assert_outcomes(passed=5)
    assert planting.LOADS == ["planted"]


def test_the_users_own_parameters_of_the_chain_are_kept(planted: pytest.Pytester) -> None:
    planted.makepyfile(
        """
        import pytest
        from pytest_sway.backends.base import AdapterKey

        @pytest.mark.parametrize("sway_adapter", [AdapterKey("a"), AdapterKey("b")], indirect=True)
        def test_it(sway, sway_adapter): pass
        """
    )
    planted.runpytest("test_the_users_own_parameters_of_the_chain_are_kept.py").assert_outcomes(passed=2)


def test_a_limit_holds_for_code_first_tests_and_leaves_other_options_alone(planted: pytest.Pytester) -> None:
    planted.makepyfile(
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
    planted.runpytest(planted.path, "-k", "test_it", "--sway-limit=2").assert_outcomes(passed=1, deselected=4)


def test_a_failed_load_is_tried_once_and_told_in_one_line_per_item(planted: pytest.Pytester) -> None:
    planted.makefile(".yaml", sway=SPEC.replace("base: planted", "base: broken"))
    result = planted.runpytest("--no-header")
    result.assert_outcomes(errors=4)
    assert planting.LOADS == ["broken"]
    told = [line for line in result.outlines if line == "no backend: the disk is on fire"]
    assert len(told) == 4
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.fnmatch_lines(["FAILED, nothing was measured*"])
    result.stdout.fnmatch_lines(["*4 probes ended in an error: baseline, dk, curve, talk*"])
    assert result.ret == 1


def test_the_measure_runs_in_the_call_phase(planted: pytest.Pytester) -> None:
    planted.makepyfile(
        conftest="""
        import planting
        from pytest_sway.backends.fake import FakeBackend

        PHASES = []

        def answer(request):
            PHASES.append(CURRENT[0])
            return planting.answer(request)

        CURRENT = [""]

        def pytest_runtest_setup(item): CURRENT[0] = "setup"
        def pytest_runtest_call(item): CURRENT[0] = "call"
        def pytest_runtest_teardown(item): CURRENT[0] = "teardown"
        def pytest_sway_backend(config, model): return FakeBackend(answer)
        def pytest_unconfigure(config): print("PHASES", set(PHASES))
        """
    )
    planted.runpytest("-s").stdout.fnmatch_lines(["*PHASES {'call'}*"])


def test_a_conftest_overrides_each_fixture(planted: pytest.Pytester) -> None:
    planted.makeconftest(
        """
        import pytest, planting
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.backends.null_population import NullPopulation

        @pytest.fixture(scope="session")
        def sway_backend():
            return FakeBackend(planting.answer)

        @pytest.fixture(scope="session")
        def sway_null():
            return NullPopulation(reason="not here")
        """
    )
    result = planted.runpytest("sway.yaml::dk")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*(floor 0.02; no null, so floor and interval decide)*", "*not calibrated: dk (not here)*"]
    )
    assert planting.LOADS == []


def test_a_hook_given_to_main_serves_the_models(planted: pytest.Pytester) -> None:
    planted.makeconftest("")

    class Serving:
        def pytest_sway_backend(self, model: object) -> object:
            return planting.backend(model)  # type: ignore[arg-type]

    result = planted.inline_run("sway.yaml", plugins=[Serving()])
    result.assertoutcome(passed=4)


def test_a_kind_that_nobody_serves_is_told(planted: pytest.Pytester) -> None:
    planted.makeconftest("")
    planted.makefile(".yaml", sway=SPEC.replace("kind: dummy", "kind: mlx"))
    result = planted.runpytest("sway.yaml::dk")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["no backend: kind: mlx is not served by this version*"])


@pytest.mark.parametrize("disabled", ["enabled: false", "weight: 1.0, enabled: no"])
def test_a_disabled_probe_is_skipped_without_a_model(planted: pytest.Pytester, disabled: str) -> None:
    planted.makefile(
        ".yaml",
        sway=SPEC.split("suite:")[0]
        + f"""suite:
  - {{name: dk, kind: delta_kl, prompts: [a], {disabled}}}
""",
    )
    result = planted.runpytest("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*disabled in spec*"])
    assert planting.LOADS == []


def test_a_pre_run_probe_loads_no_model(planted: pytest.Pytester) -> None:
    planted.makefile(".yaml", sway=SPEC + "  - {name: s, kind: training_drift, store_path: .}\n")
    planted.makepyfile(
        test_marked="""
        import pytest

        @pytest.mark.sway("sway.yaml")
        def test_it(): pass
        """
    )
    planted.runpytest("sway.yaml::s", "test_marked.py::test_it[s]").assert_outcomes(skipped=2)
    assert planting.LOADS == []


def test_nan_is_an_error_and_never_a_score(planted: pytest.Pytester) -> None:
    planted.makefile(".yaml", sway=SPEC.replace("base: planted", "base: nan"))
    result = planted.runpytest("--sway-json=out.json", "sway.yaml")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["ERROR delta_kl: *not finite*"])
    text = (planted.path / "out.json").read_text()
    assert "NaN" not in text
    assert '"non_finite_inputs"' in text


def test_an_inert_adapter_is_told_first_and_reads_zero(planted: pytest.Pytester) -> None:
    planted.makefile(".yaml", sway=SPEC.replace("base: planted", "base: inert"))
    result = planted.runpytest("--no-header", "sway.yaml")
    result.stdout.fnmatch_lines(
        ["FAILED, not healthy (noise): composite 0.00*", "  • dk: the adapter is inert:*", "adapter *"]
    )
    result.stdout.fnmatch_lines(
        ["FAIL delta_kl: the adapter is inert: its update is zero, so it changes nothing*"]
    )


@pytest.mark.slow
def test_without_torch_other_backends_work_and_hf_says_what_to_install(planted: pytest.Pytester) -> None:
    conftest = planted.path / "conftest.py"
    conftest.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\nsys.modules['torch'] = None\n"
        + conftest.read_text()
    )
    planted.runpytest_subprocess("sway.yaml").assert_outcomes(passed=4)
    conftest.write_text("import sys\nsys.modules['torch'] = None\n")
    spec = SPEC.replace("kind: dummy", "kind: hf").replace(
        "adapters/good", str(QUICKSTART / "adapters" / "healthy")
    )
    planted.makefile(".yaml", sway=spec)
    result = planted.runpytest_subprocess("sway.yaml::dk")
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
def test_whole_tensors_have_nulls_too_and_a_family_that_cannot_be_made_says_so(
    pytester: pytest.Pytester, form: str, family: str
) -> None:
    folder = pytester.path / "tuned"
    text = WHOLE.replace("TUNED, ", f"{QUICKSTART}/base, adapter: tuned, ").replace("DEFAULTS", "")
    if form == "dora":
        adapters_made.make(folder, adapters_made.lora(use_dora=True))
    else:
        model = adapters_made.base_model()
        model.model.norm.weight.data *= 0.7
        model.save_pretrained(folder)
        text = WHOLE.replace("TUNED", "tuned").replace("DEFAULTS", "defaults: {differential: false}")
    (pytester.path / "sway.yaml").write_text(text.replace("FAMILY", family))
    result = pytester.runpytest("sway.yaml", "-rs", "-v")
    result.stdout.fnmatch_lines(["*adapter *tuned* on *quickstart/base*"])
    if family == "norm_matched":
        random = form == "dora"  # and so it is no more than its nulls are
        result.assert_outcomes(passed=2 - random, failed=int(random))
        rank = r"\d+ of them as far" if random else "beyond all"
        told = " ".join(result.stdout.str().split())
        assert re.search(rf"against 8 norm_matched adapters, which reach [^:]*: {rank}, p ", told)
        return
    result.assert_outcomes(passed=1, failed=1)  # asked for and not to be had: the gate may not pass
    why = "no signs nulls: the adapter changes whole tensors"
    told = [f"ERROR null_adapter: {why}*", "*(floor 0.02; no null, so floor*", f"*not calibrated: dk ({why}*"]
    result.stdout.fnmatch_lines(told)


def test_a_probe_is_told_how_long_a_text_the_model_reads(pytester: pytest.Pytester) -> None:
    """In an entry of a spec and in a code-first test."""
    pytester.makeconftest(
        """
        import planting
        from pytest_sway.backends.fake import FakeBackend
        from pytest_sway.requests import Tokenized, Tokens

        def answer(request):
            if isinstance(request, Tokens):
                return Tokenized(range(len(request.text)), range(1, len(request.text) + 1))
            return planting.answer(request)

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
