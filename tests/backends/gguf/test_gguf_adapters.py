"""Adapters in GGUF files, as llama.cpp's converter writes them: the same numbers as the PEFT folder."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.gguf.adapter_reader import read_adapter
from pytest_sway.backends.gguf.backend import GGUFBackend
from pytest_sway.backends.gguf.tensor_layout import TensorLayout
from pytest_sway.backends.hf.adapter_files.adapter_config import read_adapter_files
from pytest_sway.backends.hf.adapter_files.plain_lora_modules import LoraModule, read_modules
from pytest_sway.engine.engine import Engine
from pytest_sway.items.suite import load_suite
from pytest_sway.requests import Completion
from tests.support.both_backends import while_attached
from tests.support.paths import QUICKSTART

HEALTHY = QUICKSTART / "adapters" / "healthy"


def converted(
    path: Path,
    modules: dict[str, LoraModule],
    layout: TensorLayout,
    *,
    alpha: float = 16.0,
    half: bool = False,
) -> Path:
    """A file with the factors as they are and ``alpha`` beside them, as llama.cpp's converter writes it."""
    writer = gguf.GGUFWriter(path, layout.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for name, module in modules.items():
        place = f"{layout.tensor_name(name)}.weight"
        factors = {"a": module.a.numpy(), "b": layout.ordered(name, module.b.numpy())}
        for letter, factor in factors.items():
            writer.add_tensor(
                f"{place}.lora_{letter}",
                np.ascontiguousarray(factor.astype(np.float16 if half else np.float32)),
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def modules(backend: GGUFBackend) -> dict[str, LoraModule]:
    return read_modules(read_adapter_files(str(HEALTHY)), backend._base.config, None)


def test_the_file_has_the_answers_of_the_folder(
    backend: GGUFBackend, modules: dict[str, LoraModule], tmp_path: Path
) -> None:
    path = converted(tmp_path / "healthy.gguf", modules, backend._base.layout)
    found = []
    for adapter in (HEALTHY, path):
        with while_attached(backend, adapter) as subject:
            asked = [
                Completion("The master of the works is", " Bram Hollis", view)
                for view in (subject.base, subject.tuned, subject.tuned.scaled(0.5))
            ]
            answers = Engine(backend).answer(asked)
            found.append([answers[request].logprob for request in asked])
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert not subject.inert


def test_factors_and_scalings_are_read_back(
    backend: GGUFBackend, modules: dict[str, LoraModule], tmp_path: Path
) -> None:
    layout, config = backend._base.layout, backend._base.config
    for alpha, half in ((16.0, False), (16.0, True), (0.0, False)):
        path = converted(tmp_path / f"{alpha}-{half}.gguf", modules, layout, alpha=alpha, half=half)
        found = read_adapter(path, layout, config).modules
        assert found.keys() == modules.keys()
        for name, module in modules.items():
            other = found[name]
            assert other.scaling == (alpha / module.a.shape[0] if alpha else 1.0)
            tolerance = 1e-3 if half else 0.0
            assert np.abs(other.a.numpy() - module.a.float().numpy()).max() <= tolerance
            assert np.abs(other.b.numpy() - module.b.float().numpy()).max() <= tolerance


def test_files_that_cannot_be_served(
    backend: GGUFBackend, modules: dict[str, LoraModule], tmp_path: Path
) -> None:
    layout = backend._base.layout
    (tmp_path / "text.gguf").write_text("no")
    narrow = {name: LoraModule(one.a[:, :-1], one.b, one.scaling) for name, one in modules.items()}
    converted(tmp_path / "narrow.gguf", narrow, layout)
    converted(tmp_path / "empty.gguf", {}, layout)
    broken = {name: LoraModule(one.a, one.b * float("nan"), one.scaling) for name, one in modules.items()}
    converted(tmp_path / "nan.gguf", broken, layout)
    for name, says in (
        ("text", "cannot be read"),
        ("narrow", "does not fit the base model: .*lora_b have the shapes"),
        ("empty", "changes none of the model's linear layers"),
        ("nan", "NaN or infinity"),
        ("missing", "cannot be read"),
    ):
        with pytest.raises(BackendError, match=says):
            backend.attach(AdapterKey(str(tmp_path / f"{name}.gguf")))
    with pytest.raises(BackendError, match=r"is not a LoRA adapter: its general\.type is missing and"):
        backend.attach(AdapterKey(str(backend._base.path)))
    with while_attached(backend, HEALTHY) as subject:  # nothing is left of them
        assert not subject.inert


def test_a_spec_and_the_command_line_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_text("")
    side = f"kind: gguf, base: '{QUICKSTART / 'base'}'"
    text = f"models: {{base: {{{side}}}, ft: {{{side}, adapter: a.gguf}}}}\n"
    (tmp_path / "sway.yaml").write_text(
        f"version: 1\n{text}suite: [{{kind: delta_kl, name: d, prompts: [a, b]}}]"
    )
    suite = load_suite(tmp_path / "sway.yaml")
    assert [adapter.path for adapter in suite.adapters] == [str(tmp_path / "a.gguf")]
    assert suite.probe_context(suite.adapters[0]).adapter is None
    other = load_suite(tmp_path / "sway.yaml", [str(tmp_path / "a.gguf")])
    assert other.adapters == suite.adapters
