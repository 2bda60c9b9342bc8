"""A document's base model and its adapter: registry, revision, quantization, the pointers of its store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sway.dlm import base_model
from pytest_sway.dlm.base_model import DlmBase
from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.resolve import resolve_dlm
from pytest_sway.dlm.store import current_adapter
from tests.support.dlm_store import QUICKSTART, Project, add_version, handbook, write_project

HEALTHY = QUICKSTART / "adapters" / "healthy"
REVISION = "12fd25f77366fa6b3b4b768ec3050bf629380bac"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DLM_HOME", str(tmp_path / "dlm-home"))
    return write_project(tmp_path)


@pytest.fixture
def without_dlm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_model, "installed_version", lambda: None)


def _config(version: Path, **fields: object) -> None:
    file = version / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_the_current_version(project: Project) -> None:
    handle = resolve_dlm(project.document)
    assert handle.adapter_path == (project.store / "adapter/versions/v0001").resolve()
    assert handle.base == DlmBase(str(QUICKSTART / "base"))
    assert len(handle.sections) == 7
    assert "Odile Marrow" in handle.doc_text
    newer = add_version(project.store, 2, HEALTHY)
    assert resolve_dlm(str(project.document)).adapter_path == newer.resolve()


def test_the_link_of_older_stores(project: Project) -> None:
    pointer = project.store / "adapter/current.txt"
    pointer.unlink()
    assert resolve_dlm(project.document).adapter_path is None
    (project.store / "adapter/latest").symlink_to("versions/v0001")
    assert resolve_dlm(project.document).adapter_path == (project.store / "adapter/versions/v0001").resolve()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../../elsewhere", "which is outside the store"),
        ("adapter/versions/v0009", "which is not a version folder"),
        ("adapter", "which is not a version folder"),
        ("a\0b", "cannot be found: "),
        ("x" * 3000, "cannot be found: "),
    ],
)
def test_a_pointer_to_nowhere(project: Project, text: str, message: str) -> None:
    (project.store / "adapter/current.txt").write_text(text)
    with pytest.raises(DlmError, match=message):
        current_adapter(project.store)


def test_named_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLM_HOME", str(tmp_path / "dlm-home"))
    front = "training:\n  adapters:\n    knowledge: {}\n    tone: {adapter: qlora}\n"
    project = write_project(tmp_path, handbook(front=front), name="tone")
    assert resolve_dlm(project.document).adapter_path is None
    tone = resolve_dlm(project.document, "tone")
    assert tone.adapter_path == (project.store / "adapter/tone/versions/v0001").resolve()
    assert tone.base.quantization == "nf4"
    assert len(tone.document.controls) == 1  # the questions, which the first adapter is trained on
    with pytest.raises(DlmError, match="no adapter 'style'; declared adapters: knowledge, tone"):
        resolve_dlm(project.document, "style")


def test_what_training_says_decides_the_quantization(project: Project) -> None:
    assert project.document.write_text(handbook(front="training:\n  adapter: qlora\n"))
    assert resolve_dlm(project.document).base.quantization == "nf4"
    (project.store / "adapter/versions/v0001/training_run.json").write_text('{"use_qlora": false}')
    assert resolve_dlm(project.document).base.quantization is None


def test_the_revision_that_was_trained_on(project: Project) -> None:
    project.document.write_text(handbook(base="hf:org/name"))
    assert resolve_dlm(project.document).base == DlmBase("org/name")
    manifest = {"base_model_revision": "a" * 40, "training_runs": [{"base_model_revision": "b" * 40}]}
    (project.store / "manifest.json").write_text(json.dumps(manifest))
    assert resolve_dlm(project.document).base == DlmBase("org/name", "b" * 40)


def test_links_in_a_circle_and_no_home(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.store / "adapter/current.txt").unlink()
    (project.store / "adapter/latest").symlink_to("latest")
    with pytest.raises(DlmError, match="cannot be found"):
        resolve_dlm(project.document)
    monkeypatch.setenv("DLM_HOME", "~no-such-user/x")
    with pytest.raises(DlmError, match="set DLM_HOME to the folder that contains store/"):
        resolve_dlm(project.document)


@pytest.mark.parametrize("base", ["'hf:'", "hf:name", f"hf:{'x' * 300}"])
def test_what_is_no_name_on_the_hub(project: Project, base: str) -> None:
    project.document.write_text(handbook(base=base))
    with pytest.raises(DlmError, match="expected hf:org/name"):
        resolve_dlm(project.document)


def test_another_base_than_the_one_that_was_trained_on(project: Project) -> None:
    project.document.write_text(handbook(base="hf:org/new"))
    manifest = {"base_model": "hf:org/old", "base_model_revision": "a" * 40}
    (project.store / "manifest.json").write_text(json.dumps(manifest))
    assert resolve_dlm(project.document).base == DlmBase("org/new")


def test_a_registry_key_without_dlm(project: Project, without_dlm: None) -> None:
    version = project.store / "adapter/versions/v0001"
    project.document.write_text(handbook(base="smollm2-135m"))
    _config(version, base_model_name_or_path=f"/x/models--org--name-1/snapshots/{'c' * 40}/")
    assert resolve_dlm(project.document).base == DlmBase("org/name-1", "c" * 40)
    _config(version, base_model_name_or_path="org/name", revision="main")
    assert resolve_dlm(project.document).base == DlmBase("org/name", "main")
    _config(version, base_model_name_or_path=None)
    with pytest.raises(
        DlmError, match="'smollm2-135m' cannot be looked up in dlm's registry, because dlm is not installed"
    ):
        resolve_dlm(project.document)


def test_a_registry_key_with_dlm(project: Project) -> None:
    pytest.importorskip("dlm", reason="pip install --no-deps document-language-model python-ulid cbor2")
    project.document.write_text(handbook(base="smollm2-135m"))
    assert resolve_dlm(project.document).base == DlmBase("HuggingFaceTB/SmolLM2-135M-Instruct", REVISION)
    project.document.write_text(handbook(base="llama-3.2-1b"))  # gated: it is the hub that asks
    assert resolve_dlm(project.document).base.name == "meta-llama/Llama-3.2-1B-Instruct"
    _config(project.store / "adapter/versions/v0001", base_model_name_or_path=None)
    project.document.write_text(handbook(base="no-such-base"))
    with pytest.raises(
        DlmError,
        match=r"dlm [\d.]+ does not have the base model 'no-such-base' in its registry; install a newer",
    ):
        resolve_dlm(project.document)
