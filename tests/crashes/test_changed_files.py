"""An adapter or a model that is written while it is read is refused: its digest would name something else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf import backend as hf
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.backends.hf.unchanged_files import UnchangedFiles
from pytest_sway.backends.mlx import convert
from pytest_sway.backends.mlx.adapter_content import ConversionError
from tests.support.paths import QUICKSTART

WEIGHTS = "adapter_model.safetensors"
CHANGED = "changed while they were read; wait until they are written completely"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return Path(shutil.copytree(QUICKSTART / "adapters" / "healthy", tmp_path / "adapter"))


def _rewrite(adapter: Path) -> None:
    shutil.copy(QUICKSTART / "adapters" / "random" / WEIGHTS, adapter / WEIGHTS)


def test_other_content_is_a_change_and_other_times_are_none(adapter: Path) -> None:
    files = UnchangedFiles(adapter, ("*.json", WEIGHTS))
    digest = files.digest()
    (adapter / "README.md").write_text("not of the adapter")
    os.utime(adapter / WEIGHTS, (1, 1))
    files.check()
    _rewrite(adapter)
    with pytest.raises(BackendError, match=CHANGED):
        files.check()
    assert UnchangedFiles(adapter, ("*.json", WEIGHTS)).digest() != digest


def test_what_nobody_loads_may_change(adapter: Path) -> None:
    (adapter / "running_log.txt").write_text("step 1\n")
    files = UnchangedFiles(adapter, ("*.json", "*.txt", WEIGHTS))
    (adapter / "running_log.txt").write_text("step 1\nstep 2\n")
    os.link(adapter / WEIGHTS, adapter.parent / "backup")
    (adapter / WEIGHTS).chmod(0o400)
    files.digest()
    files.check()


@pytest.mark.parametrize("name", [WEIGHTS, "adapter_config.json"])
def test_a_removed_file_is_a_change(adapter: Path, name: str) -> None:
    files = UnchangedFiles(adapter, ("*.json", WEIGHTS))
    (adapter / name).unlink()
    with pytest.raises(BackendError, match=CHANGED):
        files.digest()
    with pytest.raises(BackendError, match=CHANGED):
        files.check()


def test_a_name_that_is_no_text_has_a_digest(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.json")).write_text("{}")
    assert len(UnchangedFiles(tmp_path, ("*.json",)).digest()) == 32


@pytest.mark.slow
def test_an_adapter_rewritten_between_digest_and_load(adapter: Path, monkeypatch: Any) -> None:
    backend = load_backend(ModelKey("hf", str(QUICKSTART / "base"), dtype="fp32", device="cpu"))
    attach = hf.attach

    def rewritten_first(*arguments: Any) -> Any:
        _rewrite(adapter)
        return attach(*arguments)

    monkeypatch.setattr(hf, "attach", rewritten_first)
    with pytest.raises(BackendError, match=CHANGED):
        backend.attach(AdapterKey(str(adapter)))
    monkeypatch.setattr(hf, "attach", attach)
    backend.detach(backend.attach(AdapterKey(str(adapter))))  # nothing of the refused one is left
    backend.close()


@pytest.mark.slow
def test_a_base_rewritten_while_it_is_loaded(tmp_path: Path, monkeypatch: Any) -> None:
    from pytest_sway.backends.hf.base_model import pretrained

    base = Path(shutil.copytree(QUICKSTART / "base", tmp_path / "base"))
    load = pretrained.load_pretrained

    def then_rewritten(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        (base / "config.json").write_text((base / "config.json").read_text() + "\n")
        return loaded

    monkeypatch.setattr(pretrained, "load_pretrained", then_rewritten)
    with pytest.raises(BackendError, match=CHANGED):
        load_backend(ModelKey("hf", str(base), dtype="fp32", device="cpu"))


def test_no_converted_adapter_is_kept_of_one_that_changed(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    convert.convert_adapter(adapter, tmp_path / "mlx")
    read = convert.read_adapter

    def then_rewritten(folder: Path) -> Any:
        content = read(folder)
        config = folder / "adapter_config.json"
        config.write_text(config.read_text() + "\n")
        return content

    monkeypatch.setattr(convert, "read_adapter", then_rewritten)
    with pytest.raises(ConversionError, match=CHANGED):
        convert.converted_folder(tmp_path / "mlx")
    kept = tmp_path / "cache" / "pytest-sway" / "converted-adapters"
    assert not kept.exists() or not list(kept.iterdir())
    monkeypatch.setattr(convert, "read_adapter", read)
    assert convert.converted_folder(tmp_path / "mlx").is_dir()


def test_no_home_to_keep_a_converted_adapter_in(adapter: Path, tmp_path: Path, monkeypatch: Any) -> None:
    convert.convert_adapter(adapter, tmp_path / "mlx")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConversionError, match="there is no home folder"):
        convert.converted_folder(tmp_path / "mlx")
