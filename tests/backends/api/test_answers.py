"""Answers through a server are those of transformers with PEFT: base, adapter, nulls, strengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from safetensors.torch import load_file

from pytest_sway.backends.api.backend import APIBackend
from pytest_sway.backends.api.load_backend import load_backend
from pytest_sway.backends.base import AdapterKey, ModelKey, Subject
from pytest_sway.backends.hf.backend import HFBackend
from pytest_sway.backends.hf.load_backend import load_backend as load_hf_backend
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Generate, NullSeed, Request, Tokens, Turn, View
from tests.backends.api.conftest import Open
from tests.support.both_backends import assert_same_answers, while_attached
from tests.support.completions_server import BASE, CompletionsServer, running
from tests.support.hf_models import MODEL_KEY
from tests.support.paths import QUICKSTART
from tests.support.peft_adapters import PLAIN_LORA, save_adapter

pytestmark = pytest.mark.slow

HEALTHY = QUICKSTART / "adapters" / "healthy"
CHAT = (Turn("user", "Who is the master of the lantern works?"),)
FAMILIES = ("norm_matched", "permuted", "spectrum_matched", "signs", "gaussian")


@pytest.fixture(scope="module")
def shared() -> Iterator[APIBackend]:
    """A backend on a server that nobody changes."""
    with running(CompletionsServer()) as server, TemporaryDirectory() as nulls:
        key = ModelKey("api", "base", endpoint=server.url, tokenizer=str(BASE), null_dir=nulls)
        backend = load_backend(key)
        yield backend
        backend.close()


@pytest.fixture(scope="module")
def reference() -> Iterator[HFBackend]:
    loaded = load_hf_backend(MODEL_KEY)
    yield loaded
    loaded.close()


def null(subject: Subject, family: str, draw: int = 0) -> View:
    return replace(subject.tuned, null=NullSeed(family, draw, 7, 0.02))


def requests_of(subject: Subject) -> Sequence[Request[Any]]:
    views = [subject.tuned, subject.tuned.scaled(0.5), subject.tuned.scaled(0), null(subject, "norm_matched")]
    return [
        Tokens("Ein naïver Satz.", subject.base),
        *(Completion("The master of the works is", " Bram Hollis", v) for v in [subject.base, *views]),
        Completion("", "The lantern works stand by the harbour.", subject.tuned),
        Completion(CHAT, "Bram", subject.tuned),
        *(Divergence(CHAT, subject.base, view) for view in views),
        Divergence("The", subject.base, subject.tuned, "kl", (476, 359, 296)),
        Generate("The master of the works is", subject.tuned, 12),
        Generate("The master of the works is", subject.base, 12),
    ]


def test_answers_are_those_of_transformers(shared: APIBackend, reference: HFBackend) -> None:
    assert_same_answers(shared, reference, HEALTHY, requests_of)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rslora", "patterns", "one_layer"])
def test_adapters_of_other_configs(
    shared: APIBackend, reference: HFBackend, name: str, tmp_path: Path
) -> None:
    folder = save_adapter(tmp_path / name, PLAIN_LORA[name])
    assert_same_answers(shared, reference, folder, requests_of)


@pytest.mark.slow
def test_every_null_family(shared: APIBackend, reference: HFBackend) -> None:
    def requests(subject: Subject) -> list[Request[Any]]:
        views = [null(subject, family, draw) for family in FAMILIES for draw in (0, 1)]
        return [Completion("The lantern", " works", view) for view in views]

    assert_same_answers(shared, reference, HEALTHY, requests)


@pytest.mark.slow
def test_nulls_of_the_users_own(shared: APIBackend, reference: HFBackend) -> None:
    found = []
    for backend in (shared, reference):
        with while_attached(backend, HEALTHY) as subject:
            digest = backend.add_null(AdapterKey(str(QUICKSTART / "adapters" / "random")))
            view = replace(subject.tuned, null=NullSeed("yours", 0, 0, 0.0, digest))
            request = Completion("The lantern", " works", view)
            found.append(Engine(backend).answer([request])[request].logprob)
    assert found[0] == pytest.approx(found[1], abs=5e-5)


@pytest.mark.slow
def test_many_nulls_are_loaded_in_waves(
    open_backend: Open, server: CompletionsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_sway.backends.api.loaded_adapters._MOST_LOADED", 4)
    backend = open_backend()
    most = 0
    with while_attached(backend, HEALTHY) as subject:
        engine = Engine(backend)
        for draw in range(4):
            asked = [Completion("The", " works", null(subject, "gaussian", 2 * draw + i)) for i in (0, 1)]
            assert len(engine.answer(asked)) == 2
            most = max(most, len(server.adapters))
    assert most <= 5
    assert not server.adapters


def test_nothing_is_left_behind(open_backend: Open, server: CompletionsServer, tmp_path: Path) -> None:
    backend = open_backend()
    with while_attached(backend, HEALTHY) as subject:
        Engine(backend).answer([Completion("The", " works", null(subject, "signs"))])
        assert len(list((tmp_path / "nulls").iterdir())) > 2
    assert list((tmp_path / "nulls").iterdir()) == []
    assert not server.adapters


def test_the_base_is_never_asked_beside_adapters(open_backend: Open, server: CompletionsServer) -> None:
    """vLLM on CPUs answers wrongly for it then."""
    backend = open_backend()
    with while_attached(backend, HEALTHY) as subject:
        server.asked.clear()
        Engine(backend).answer([Divergence("The", subject.base, subject.tuned)])
    names = {body["model"] for path, body in server.asked if path == "/v1/completions"}
    assert "base" not in names
    assert len(names) == 2


def test_two_models_by_name(open_backend: Open, server: CompletionsServer, reference: HFBackend) -> None:
    server.add("tuned", str(HEALTHY))
    backend = open_backend()
    subject = backend.attach(AdapterKey(None, "tuned"))
    assert backend.capabilities >= {"divergence", "completion", "generate"}
    assert not {"nulls", "scale"} & backend.capabilities
    request = Completion("The master of the works is", " Bram", subject.tuned)
    mine = Engine(backend).answer([request])[request].logprob
    with while_attached(reference, HEALTHY) as other:
        same = replace(request, view=other.tuned)
        assert mine == pytest.approx(Engine(reference).answer([same])[same].logprob, abs=5e-5)


def test_two_servers(open_backend: Open, server: CompletionsServer) -> None:
    with running(CompletionsServer()) as other:
        other.add("tuned", str(HEALTHY))
        backend = open_backend()
        subject = backend.attach(AdapterKey(None, "tuned", endpoint=other.url))
        asked = Divergence("The master of the works is", subject.base, subject.tuned)
        assert Engine(backend).answer([asked])[asked] > 0.01
        backend.detach(subject)


def test_the_shorter_context_of_two_servers(open_backend: Open, server: CompletionsServer) -> None:
    with running(CompletionsServer()) as other:
        other.context = 64
        backend = open_backend()
        subject = backend.attach(AdapterKey(None, "base", endpoint=other.url))
        assert backend.context == 63
        backend.detach(subject)
        assert backend.context == 1023


@pytest.mark.slow
def test_a_folder_resolver_is_used_where_there_is_one(
    open_backend: Open, server: CompletionsServer, reference: HFBackend, tmp_path: Path
) -> None:
    server.resolver, server.loads_adapters = tmp_path / "nulls", False
    assert_same_answers(open_backend(), reference, HEALTHY, requests_of)
    assert not any(path == "/v1/load_lora_adapter" for path, _ in server.asked)


@pytest.mark.slow
def test_fewer_tokens_of_a_distribution(open_backend: Open, server: CompletionsServer) -> None:
    """The base's likeliest ones; where the server names no chosen tokens, those that both sides name."""
    found = {}
    for most, chosen in ((-1, True), (20, True), (20, False)):
        server.max_logprobs, server.names_chosen = most, chosen
        backend = open_backend()
        with while_attached(backend, HEALTHY) as subject:
            asked = Divergence("The master of the works is", subject.base, subject.tuned, "js", (476, 359))
            found[most, chosen] = (Engine(backend).answer([asked])[asked], subject)
            assert Engine(backend).noise_floor(subject.base).divergence < 1e-9
    (whole, exact), (base, named), (common, unnamed) = found.values()
    assert 0 < common < base < whole
    digests = {subject.base.base for _, subject in found.values()}
    assert len(digests) == 3  # never compared with each other
    assert "compare the top 20 tokens of the base" in " ".join(named.notes)
    assert "miss effects on all other tokens" in unnamed.warnings[0]
    assert not named.warnings
    assert "likeliest" not in " ".join(exact.notes)


def test_a_dtype_rounds_the_nulls(open_backend: Open, server: CompletionsServer, tmp_path: Path) -> None:
    backend = open_backend(dtype="bf16")
    with while_attached(backend, HEALTHY) as subject:
        Engine(backend).answer([Completion("The", " works", null(subject, "norm_matched"))])
        files = list((tmp_path / "nulls").glob("*/adapter_model.safetensors"))
        dtypes = {str(tensor.dtype) for file in files for tensor in load_file(file).values()}
    assert dtypes == {"torch.bfloat16"}


def test_a_key_of_the_model(open_backend: Open, server: CompletionsServer) -> None:
    assert isinstance(open_backend(api_key="sk-1"), APIBackend)
    assert {body["_key"] for path, body in server.asked if path == "/v1/completions"} == {"Bearer sk-1"}
    assert "sk-1" not in repr(ModelKey("api", "base", api_key="sk-1"))
