"""A llama-server that somebody else started, with its adapters: the same numbers as on one of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.gguf.backend import GGUFBackend
from pytest_sway.backends.gguf.load_backend import load_backend
from pytest_sway.backends.gguf.running_server import RunningServerBackend
from pytest_sway.backends.gguf.server import OwnedServer
from pytest_sway.backends.hf.adapter_files.adapter_config import read_adapter_files
from pytest_sway.backends.hf.adapter_files.plain_lora_modules import read_modules
from pytest_sway.engine.engine import Engine
from pytest_sway.requests import Completion, Divergence, Generate
from tests.backends.gguf.test_gguf_adapters import converted
from tests.support.gguf_files import quickstart_file
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(backend: GGUFBackend, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``base.gguf``, and each adapter of the quickstart as a file."""
    folder = tmp_path_factory.mktemp("files")
    quickstart_file(folder / "base.gguf")
    for name in ("random", "healthy", "inert"):
        found = read_adapter_files(str(QUICKSTART / "adapters" / name))
        modules = read_modules(found, backend._base.config, None)
        alpha = float(found.config["lora_alpha"])
        converted(folder / f"{name}.gguf", modules, backend._base.layout, alpha=alpha)
    return folder


@pytest.fixture(scope="module")
def running(files: Path) -> Iterator[str]:
    """Where a server listens that knows all of them but ``inert``."""
    adapters = [files / "random.gguf", files / "healthy.gguf"]
    server = OwnedServer(files / "base.gguf", adapters, vocabulary=4096, slots=2, context=256, threads=1)
    yield server.client.url
    server.close()


def open_on(running: str, base: Path) -> RunningServerBackend:
    found = load_backend(ModelKey("gguf", str(base), endpoint=running))
    assert isinstance(found, RunningServerBackend)
    return found


def test_answers_are_those_of_our_own_server(running: str, files: Path) -> None:
    scores, divergences, texts = [], [], []
    for endpoint in (None, running):
        backend = load_backend(ModelKey("gguf", str(files / "base.gguf"), endpoint=endpoint))
        subject = backend.attach(AdapterKey(str(files / "healthy.gguf")))
        prompt = "The master of the works is"
        views = [subject.base, *(subject.tuned.scaled(factor) for factor in (0, 0.5, 1))]
        scored = [Completion(prompt, " Bram Hollis", view) for view in views]
        moved, written = Divergence(prompt, subject.base, subject.tuned), Generate(prompt, subject.tuned, 8)
        answers = Engine(backend).answer([*scored, moved, written])
        scores.append([answers[one].logprob for one in scored])
        divergences.append(answers[moved])
        texts.append(answers[written])
        backend.detach(subject)
        backend.close()
    assert scores[1] == pytest.approx(scores[0], abs=1e-5)
    assert divergences[1] == pytest.approx(divergences[0], abs=1e-6)
    assert texts[0] == texts[1]


def test_what_it_can_do(running: str, files: Path) -> None:
    backend = open_on(running, files / "base.gguf")
    assert "nulls" not in backend.capabilities
    assert backend.capabilities >= {"divergence", "completion", "generate", "scale"}
    assert (backend.context, backend.concurrency, backend.identity) == (255, 2, "")
    subject = backend.attach(AdapterKey(str(files / "healthy.gguf")))
    assert "contents cannot be verified" in " ".join(subject.notes)
    backend.close()


def test_what_is_refused(running: str, files: Path, tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes((files / "base.gguf").read_bytes())
    with pytest.raises(BackendError, match=r"was started with base\.gguf, but the spec's base model is"):
        open_on(running, tmp_path / "other.gguf")
    with pytest.raises(BackendError, match="base must be the GGUF file that the server was started with"):
        load_backend(ModelKey("gguf", str(QUICKSTART / "base"), endpoint=running))
    with pytest.raises(BackendError, match="does not answer"):
        open_on("http://127.0.0.1:9", files / "base.gguf")
    backend = open_on(running, files / "base.gguf")
    for path, says in (
        (files / "inert.gguf", r"named inert\.gguf\. Start the server with --lora inert\.gguf"),
        (QUICKSTART / "adapters" / "healthy", "Set models.ft.adapter to the GGUF file"),
        (files / "missing.gguf", "cannot be read"),
    ):
        with pytest.raises(BackendError, match=says):
            backend.attach(AdapterKey(str(path)))
    backend.close()


def test_a_server_that_was_started_anew(running: str, files: Path) -> None:
    backend = open_on(running, files / "base.gguf")
    subject = backend.attach(AdapterKey(str(files / "healthy.gguf")))
    assert backend._first is not None
    backend._first = backend._first + np.float32(1.0)
    with pytest.raises(BackendError, match="gives different answers than at the start"):
        Engine(backend).answer([Completion("The", " works", subject.tuned)])
    backend.close()


def test_an_adapter_that_the_server_does_not_apply(running: str, files: Path, tmp_path: Path) -> None:
    """A file of the same name that holds another adapter: the server's own moves nothing."""
    adapters = [files / "inert.gguf"]
    server = OwnedServer(files / "base.gguf", adapters, vocabulary=4096, slots=1, context=256, threads=1)
    (tmp_path / "inert.gguf").write_bytes((files / "healthy.gguf").read_bytes())
    backend = open_on(server.client.url, files / "base.gguf")
    with pytest.raises(BackendError, match="does not apply the adapter file"):
        backend.attach(AdapterKey(str(tmp_path / "inert.gguf")))
    backend.close()
    server.close()
