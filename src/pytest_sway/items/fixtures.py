"""The fixture chain: sway_backend → sway_adapter → sway_null → sway_result.

Each key is the parameter of its fixture, so pytest groups items, tears down what is not needed any
more, and remembers a load that failed. This module imports nothing heavy: it is loaded at start-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sway.items.callspec import params_of
from pytest_sway.items.item_key import DEFAULT_SPEC, InvalidMark, ItemKey, item_key, suite_id
from pytest_sway.items.stash_keys import MEASURED_IN_TEST, MEASUREMENT_CONTEXT, PLANNED

if TYPE_CHECKING:
    from pytest_sway.backends.base import AdapterKey, Backend, ModelKey, Subject
    from pytest_sway.backends.null_population import NullPopulation
    from pytest_sway.engine.engine import Engine
    from pytest_sway.items.run_probe import MeasurementContext, SwayResult
    from pytest_sway.items.suite import Suite
    from pytest_sway.probes.base import Probe, ProbeContext
    from pytest_sway.result import ProbeResult


@pytest.fixture(scope="session")
def sway_spec(pytestconfig: pytest.Config) -> str | Path:
    """Path of the spec whose models code-first tests use, when no mark names one.

    Override it in a conftest; by default ``sway.yaml`` in pytest's rootdir.
    """
    return pytestconfig.rootpath / DEFAULT_SPEC


@pytest.fixture(scope="session")
def sway_backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The backend that holds or reaches the base model; loaded once per model (and for code-first tests)."""
    from pytest_sway.backends.base import BackendError

    key = getattr(request, "param", None)
    if isinstance(key, InvalidMark):
        raise _failure(key.message)
    key = key or _default_suite(request).model
    try:
        backend = _backend_of_hook(request.config, key) or _backend_of_spec(request, key)
    except BackendError as error:
        raise _failure(f"no backend: {error}") from None
    yield backend
    try:
        backend.close()
    except BackendError as error:
        raise _failure(f"the backend could not be closed cleanly: {error}") from None


@pytest.fixture(scope="session")
def sway_engine(request: pytest.FixtureRequest, sway_backend: Backend) -> Iterator[Engine]:
    """Merges and caches what is asked of the backend; one per backend."""
    from pytest_sway.backends.base import BackendError
    from pytest_sway.items.engine_setup import make_engine

    try:
        engine = make_engine(sway_backend, request.config)
    except BackendError as error:
        raise _failure(f"no backend: {error}") from None
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def sway_adapter(request: pytest.FixtureRequest, sway_backend: Backend) -> Iterator[Subject]:
    """The adapter, attached and checked: it can be served and its logits are finite."""
    from pytest_sway.backends.base import BackendError

    key = getattr(request, "param", None) or _default_suite(request).adapters[0]
    try:
        subject = sway_backend.attach(key)
    except BackendError as error:
        raise _failure(f"no adapter: {error}") from None
    if subject.trained_base is not None and not request.config.getoption("sway_plan"):
        from pytest_sway.items.base_in_training import compare_bases

        subject = compare_bases(sway_backend, subject, _probes_of(request, key, sway_backend))
    yield subject
    try:
        sway_backend.detach(subject)
    except BackendError as error:
        raise _failure(f"the adapter could not be detached cleanly: {error}") from None


@pytest.fixture(scope="session")
def sway_null(request: pytest.FixtureRequest, sway_backend: Backend, sway_adapter: Subject) -> NullPopulation:
    """The null population of the adapter: which random adapters, not what they measure."""
    from pytest_sway.backends.base import AdapterKey, BackendError
    from pytest_sway.backends.duck_typed import backend_of
    from pytest_sway.backends.null_population import NullPopulation, null_population

    plan = request.param if hasattr(request, "param") else _default_suite(request).plan
    if plan is None:
        return NullPopulation()
    try:
        backend = backend_of(sway_backend)
        if "nulls" not in backend.capabilities:
            return NullPopulation(plan=plan, reason="the backend does not support null adapters")
        sources = [backend.add_null(AdapterKey(path)) for path in plan.adapters]
    except BackendError as error:
        return NullPopulation(plan=plan, reason=str(error))
    return null_population(sway_adapter, plan, sources, backend.null_families)


@pytest.fixture
def sway_result(request: pytest.FixtureRequest) -> SwayResult:
    """One probe's result; measured in the call phase, or earlier if a fixture reads it."""
    from pytest_sway.items.run_probe import SwayResult, run_probe

    key = getattr(request, "param", None)
    if not isinstance(key, ItemKey):
        raise _failure('sway_result needs a spec: decorate the test with @pytest.mark.sway("sway.yaml")')
    if server := request.config.getoption("sway_server"):
        from pytest_sway.items.served_probes import served_result

        return SwayResult(served_result(request.node, key, server))
    measured_with = _measurement_context(request) if key.entry.needs_model else None
    capabilities = measured_with.capabilities if measured_with else frozenset()
    context_length = measured_with.context_length if measured_with else None
    context = _with_limit(
        request, key.suite.probe_context(_adapter_key(request), capabilities, context_length)
    )
    probe = key.entry.probe.with_context(context)
    if request.config.getoption("sway_plan"):
        from pytest_sway.items.cost_estimate import planned_probe

        request.node.stash[PLANNED] = planned_probe(probe, measured_with, suite_id(request.node, key))
        pytest.skip("planned, not measured: --sway-plan")
    if measured_with is None:
        return SwayResult(lambda: run_probe(probe, None))
    from pytest_sway.items.forecast import forecast_of

    forecast = forecast_of(request, context, measured_with)

    def measure() -> ProbeResult:
        with forecast.measuring(probe.name) if forecast is not None else nullcontext():
            return run_probe(probe, measured_with)

    return SwayResult(measure)


@pytest.fixture
def sway(
    request: pytest.FixtureRequest,
    sway_backend: Backend,
    sway_adapter: Subject,
    sway_null: NullPopulation,
) -> Callable[[Probe[Any]], ProbeResult]:
    """Measure a probe from inside a test.

    ``result = sway(DeltaKL(prompts=["…"]))``: base, adapter and nulls are those of the test's mark, else
    of ``sway_spec``. Raises nothing for a bad verdict: the test asserts what it wants. The results are
    reported under the test, outside composite and gate.
    """
    from pytest_sway.items.run_probe import run_probe
    from pytest_sway.probes.base import Probe

    if request.config.getoption("sway_plan"):
        pytest.skip("skipped by --sway-plan, which cannot estimate what a test measures with sway()")
    del sway_backend, sway_adapter, sway_null  # part of the context; named here so that pytest groups by them
    measured_with = _measurement_context(request)
    context = _with_limit(request, _probe_context(request, measured_with))
    measured: list[ProbeResult] = []
    request.node.stash[MEASURED_IN_TEST] = measured  # a rerun begins anew

    def measure(probe: Probe[Any]) -> ProbeResult:
        if not isinstance(probe, Probe):
            raise TypeError(f"sway() expects a probe, e.g. DeltaKL(prompts=[…]), but got {probe!r}")
        result = run_probe(probe.with_context(context), measured_with if probe.needs_model else None)
        measured.append(result)
        return result

    return measure


def _measurement_context(request: pytest.FixtureRequest) -> MeasurementContext:
    from pytest_sway.items.run_probe import MeasurementContext

    engine: Engine = request.getfixturevalue("sway_engine")
    measured_with = MeasurementContext(
        engine=engine,
        subject=request.getfixturevalue("sway_adapter"),
        population=request.getfixturevalue("sway_null"),
        capabilities=engine.backend.capabilities,
        context_length=engine.backend.context,
    )
    measured_with.engine.begin(measured_with.subject)
    request.node.stash[MEASUREMENT_CONTEXT] = measured_with
    return measured_with


def _adapter_key(request: pytest.FixtureRequest) -> AdapterKey | None:
    """The adapter that an item was parametrized with."""
    return params_of(request.node).get("sway_adapter")


def _probe_context(request: pytest.FixtureRequest, measured_with: MeasurementContext) -> ProbeContext:
    """Of a code-first test: that of its mark's spec, else of ``sway_spec`` where there is one."""
    from pytest_sway.items.marks import marked_suite
    from pytest_sway.probes.base import ProbeContext

    suite = marked_suite(request.node)
    if suite is None:
        if not _spec_file(request).is_file():
            return ProbeContext(
                capabilities=measured_with.capabilities, context_length=measured_with.context_length
            )
        suite = _default_suite(request)
    return suite.probe_context(
        _adapter_key(request) or suite.adapters[0], measured_with.capabilities, measured_with.context_length
    )


def _with_limit(request: pytest.FixtureRequest, context: ProbeContext) -> ProbeContext:
    return replace(context, limit=request.config.getoption("sway_limit"))


def _backend_of_hook(config: pytest.Config, key: ModelKey) -> Backend | None:
    """The backend that a plugin or a conftest serves a model with, if one does."""
    from pytest_sway.backends.base import BackendError
    from pytest_sway.backends.duck_typed import backend_of

    hook: Any = config.hook
    served = hook.pytest_sway_backend(config=config, model=key)
    try:
        return backend_of(served) if served is not None else None
    except BackendError as error:
        raise BackendError(f"the hook pytest_sway_backend returned {error}") from None


def _adapters_on(request: pytest.FixtureRequest, key: ModelKey) -> list[AdapterKey]:
    """The adapters of the session's suites on a model."""
    keys = [found for item in request.session.items if (found := item_key(item)) is not None]
    return list({adapter: None for one in keys if one.suite.model == key for adapter in one.suite.adapters})


def _probes_of(request: pytest.FixtureRequest, adapter: AdapterKey, backend: Backend) -> list[Probe[Any]]:
    """The session's probes on an adapter, with their contexts."""
    keys = [found for item in request.session.items if (found := item_key(item)) is not None]
    return [
        key.entry.probe.with_context(
            _with_limit(request, key.suite.probe_context(adapter, backend.capabilities, backend.context))
        )
        for key in keys
        if adapter in key.suite.adapters
    ]


def _backend_of_spec(request: pytest.FixtureRequest, key: ModelKey) -> Backend:
    """The backend of a spec's own kind."""
    from pytest_sway.items.session_clock import session_moment
    from pytest_sway.items.spec_backend import PEFT_KINDS, load_spec_backend

    adapters = _adapters_on(request, key)
    if len(adapters) == 1 and key.kind in PEFT_KINDS:  # of several, each fails by itself
        _check_adapter(adapters[0])
    return load_spec_backend(key, session_moment(request.config))


def _check_adapter(adapter: AdapterKey) -> None:
    """Fail as the fixture ``sway_adapter`` would, where no model is needed to see that it must."""
    from pytest_sway.backends.base import BackendError

    try:
        from pytest_sway.backends.hf.adapter_files.adapter_config import read_adapter_files
        from pytest_sway.spec.adapter_file_checks import is_mlx_folder
    except ImportError:
        return  # loading the model says what is not installed
    if adapter.path is None or not Path(adapter.path).is_dir() or is_mlx_folder(Path(adapter.path)):
        return  # of the hub: attaching it looks into the cache first
    try:
        read_adapter_files(adapter.path)
    except BackendError as error:
        raise _failure(f"no adapter: {error}") from None
    except ImportError:
        return


def _default_suite(request: pytest.FixtureRequest) -> Suite:
    from pytest_sway.items.collect import suite_of

    path = _spec_file(request)
    if not path.is_file():
        raise _failure(
            f"no spec found, because {path} does not exist. Create it, override the fixture sway_spec, or "
            'mark the test with @pytest.mark.sway("sway.yaml")'
        )
    try:
        return suite_of(request.config, request.session.gethookproxy(path), path)
    except pytest.Collector.CollectError as error:
        raise _failure(str(error)) from None


def _spec_file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.config.rootpath / request.getfixturevalue("sway_spec")
    return path


def _failure(message: str) -> BaseException:
    """A failure that shows its message alone, without a traceback."""
    from pytest_sway.text.width import log_lines

    return pytest.fail.Exception(log_lines(message), pytrace=False)
