"""``sway pack`` and ``sway unpack``: a suite repeated elsewhere, to the last digit, and no model is asked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import transformers.models.llama.modeling_llama as llama
import yaml

from pytest_sway.cli.pack_sessions import differing
from tests.cli.test_main import output, refusal
from tests.support.dlm_store import handbook
from tests.support.paths import QUICKSTART

pytestmark = pytest.mark.slow

SPEC = {
    "models": {"base": {"base": "./base"}, "ft": {"base": "./base", "adapter": "./adapters/healthy"}},
    "sections": "texts/sections.yaml",
    "suite": [
        {"name": "null", "kind": "null_adapter"},
        {"name": "moved", "kind": "delta_kl", "prompts": ["Who founded the works?", "The furnace is"]},
        {"name": "learned", "kind": "section_internalization"},
    ],
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(QUICKSTART / "base", folder / "base")
    shutil.copytree(QUICKSTART / "adapters" / "healthy", folder / "adapters" / "healthy")
    (folder / "texts").mkdir()
    shutil.copy(QUICKSTART / "sections.yaml", folder / "texts")
    (folder / "sway.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def elsewhere(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another machine: another home, folder, place of the base; no answers kept."""
    folder = tmp_path / "elsewhere"
    (folder / "home").mkdir(parents=True)
    shutil.copytree(QUICKSTART / "base", folder / "models" / "the-base")
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.delenv("SWAY_NULL_CACHE_DIR")
    return folder


def _result(file: Path) -> dict:
    return json.loads(file.read_text("utf-8"))


@pytest.mark.slow
def test_a_coworker_gets_the_same_result_without_a_forward(
    project: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output(capsys, "run", "sway.yaml", "--json", "here.json", "-q")
    written = output(capsys, "pack", "sway.yaml", "--include-adapter")
    assert "the adapter, the result" in written
    pack = elsewhere / "sway.swaypack.tar.gz"
    shutil.move("sway.swaypack.tar.gz", pack)
    here = _result(Path("here.json"))
    shutil.move(project, project.with_name("gone"))
    monkeypatch.chdir(elsewhere)
    shutil.rmtree(elsewhere / "home")
    (elsewhere / "home").mkdir()
    asked: list[str] = []  # of the engine: what loading a model checks by forwards is not the suite's
    forward = llama.LlamaModel.forward

    def watched(*given: Any, **more: Any) -> Any:
        asked.extend(frame.filename for frame in traceback.extract_stack() if "/engine/" in frame.filename)
        return forward(*given, **more)

    monkeypatch.setattr(llama.LlamaModel, "forward", watched)
    shown = output(capsys, "run", pack, "--base", "models/the-base", "--json", "there.json")
    assert shown.endswith("the result is identical to the result in the pack\n")
    there = _result(Path("there.json"))
    assert differing(here, there) == []
    assert there["digests"] == here["digests"]
    assert there["backend_stats"]["forward_passes"] == 0
    assert asked == []

    line = output(capsys, "unpack", pack, "-o", "u", "--base", "models/the-base").splitlines()[-1]
    assert line == "next: SWAY_NULL_CACHE_DIR=u/swaypack/answers sway run u/swaypack/sway.yaml"
    run = [
        sys.executable,
        "-m",
        "pytest_sway",
        "run",
        "u/swaypack/sway.yaml",
        "--json",
        "unpacked.json",
        "-q",
    ]
    environment = {"SWAY_NULL_CACHE_DIR": "u/swaypack/answers", "PATH": "", "HF_HUB_OFFLINE": "1"}
    subprocess.run(run, check=True, capture_output=True, env=environment)
    assert differing(here, _result(Path("unpacked.json"))) == []


@pytest.mark.slow
def test_the_same_input_makes_the_same_bytes(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output(capsys, "pack", "sway.yaml", "-o", "one.swaypack.tar.gz")
    monkeypatch.setenv("SWAY_NULL_CACHE_DIR", str(tmp_path / "other-answers"))
    output(capsys, "pack", "sway.yaml", "-o", "two.swaypack.tar.gz")
    assert Path("one.swaypack.tar.gz").read_bytes() == Path("two.swaypack.tar.gz").read_bytes()
    needed = refusal(capsys, "run", "one.swaypack.tar.gz")
    assert "does not contain the base or the adapter; pass --base DIR --adapter DIR" in needed
    wrong = QUICKSTART / "adapters" / "random"
    given = ["run", "one.swaypack.tar.gz", "--base", QUICKSTART / "base", "--adapter"]
    assert "the files differ from those that the pack was made with" in refusal(capsys, *given, wrong)
    shown = output(capsys, *given, QUICKSTART / "adapters" / "healthy")
    assert "identical to the result in the pack" in shown


def test_without_answers_and_with_a_document(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {name: value for name, value in SPEC.items() if name != "sections"}
    spec = {**spec, "dlm_source": "handbook.dlm", "suite": SPEC["suite"][1:2]}
    Path("sway.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    Path("handbook.dlm").write_text(handbook())
    output(capsys, "pack", "sway.yaml", "--no-include-null-cache", "-o", "p.swaypack.tar.gz")
    lines = output(capsys, "unpack", "p.swaypack.tar.gz", "-o", "out").splitlines()
    link = Path("out/swaypack/base")
    assert f"the pack does not contain the base; create the symbolic link {link} to its folder" in lines
    assert lines[-1] == "next: sway run out/swaypack/sway.yaml"
    folder = Path("out/swaypack")
    assert yaml.safe_load((folder / "sway.yaml").read_text())["dlm_source"] == "source.dlm"
    assert (folder / "source.dlm").read_text() == handbook()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["swaypack_version"] == 1
    assert manifest["dlm_source_packed"] is True
    assert manifest["golden_included"] is True
    assert manifest["null_stats_keys"] == []
    assert manifest["section_bytes"]["source.dlm"] == len(handbook().encode())
    assert not (folder / "answers").exists()


def test_what_cannot_be_packed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: str, **changed: object) -> str:
        Path("sway.yaml").write_text(yaml.safe_dump({**SPEC, **changed}, sort_keys=False))
        return refusal(capsys, "pack", "sway.yaml", *arguments, status=1)

    remote = {"base": SPEC["models"]["base"], "ft": {**SPEC["models"]["ft"], "trust_remote_code": True}}
    assert "packs cannot run model code" in refused(models=remote)
    several = {
        "base": SPEC["models"]["base"],
        "ft": {
            **SPEC["models"]["ft"],
            "adapter": ["./adapters/healthy", str(QUICKSTART / "adapters/random")],
        },
    }
    assert "a pack contains exactly one adapter" in refused(models=several)
    suite = [{"name": "drift", "kind": "training_drift"}]
    assert "suite[0]: training_drift reads training files, which a pack" in refused(suite=suite)
    suite = [
        {"name": "null", "kind": "null_adapter", "family": "yours", "adapters": ["./adapters/healthy"] * 2}
    ]
    assert "suite[0].adapters" in refused(suite=suite)
    assert "there is no file" in refused(sections="missing.yaml")
    assert "the name of a pack must end with" in refusal(capsys, "pack", "sway.yaml", "-o", "sway.tgz")
    assert list(Path().glob("*.swaypack.tar.gz")) == []
    Path("taken.swaypack.tar.gz").write_text("")
    assert "exists; remove it" in refusal(capsys, "pack", "sway.yaml", "-o", "taken.swaypack.tar.gz")
    given = ["run", "taken.swaypack.tar.gz", "--json", "taken.swaypack.tar.gz"]
    assert "would overwrite an input file" in refusal(capsys, *given)
    assert "file x does not exist" in refusal(capsys, "unpack", "x", status=1)
    assert "--base is only for packs" in refusal(capsys, "run", "sway.yaml", "--base", "base")


@pytest.mark.parametrize("epoch", ["yesterday", "99999999999999"])
def test_a_time_that_no_archive_can_hold(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, epoch: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert f"SOURCE_DATE_EPOCH is '{epoch}'" in refusal(capsys, "pack", "sway.yaml", status=1)


def test_a_variable_is_packed_with_its_value(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWAY_TEST_DEVICE", "cpu")
    base = {"base": "./base", "device": "${SWAY_TEST_DEVICE}"}
    models = {"base": base, "ft": {**base, "adapter": "./adapters/healthy"}}
    spec = {**SPEC, "models": models, "suite": SPEC["suite"][1:2]}
    Path("harbour.sway.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    output(capsys, "pack", "harbour.sway.yaml", "--no-include-null-cache")
    output(capsys, "unpack", "harbour.swaypack.tar.gz", "-o", "out")
    written = yaml.safe_load(Path("out/swaypack/sway.yaml").read_text())
    assert written["models"]["ft"]["device"] == "cpu"
    folder = str(project)
    assert folder not in Path("out/swaypack/golden.json").read_text()  # no path of this machine travels


def test_a_pack_that_is_too_large_is_not_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("sway.yaml").write_text(yaml.safe_dump({**SPEC, "suite": SPEC["suite"][1:2]}, sort_keys=False))
    given = ["pack", "sway.yaml", "--no-include-null-cache", "--max-size-mb", "0.001"]
    assert "but --max-size-mb is 0.001" in refusal(capsys, *given, status=1)
    assert list(Path().glob("*.swaypack.tar.gz")) == []
