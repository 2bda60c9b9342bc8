"""A watch beside dlm's own store: its commits of versions, whole, failed and rejected."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pytest_sway.watch.watched_spec import WatchedSpec
from tests.support.dlm_documents import DLM_ID
from tests.support.dlm_store import BASE, handbook
from tests.support.written_adapters import pieces
from tests.watch.conftest import WatchRuns, watch_run  # noqa: F401 - a fixture

pytest.importorskip("dlm", reason="pip install --no-deps document-language-model python-ulid cbor2 zstandard")
commits = pytest.importorskip("dlm.train.checkpoint_commit")
paths = pytest.importorskip("dlm.store.paths")
integrity = pytest.importorskip("dlm.train.integrity")
_COMMITS = 20


@pytest.mark.parametrize("name", ["", "knowledge"])
def test_each_version_that_dlm_commits_is_evaluated_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    watch_run: WatchRuns,  # noqa: F811
    name: str,
) -> None:
    monkeypatch.setenv("DLM_HOME", str(tmp_path / "home"))
    front = f"training:\n  adapters:\n    {name}: {{adapter: lora}}\n" if name else ""
    (tmp_path / "handbook.dlm").write_text(handbook(front=front))
    models = {"base": {"base": str(BASE)}, "ft": {"base": str(BASE)}}
    spec = tmp_path / "sway.yaml"
    spec.write_text(yaml.safe_dump({"models": models, "dlm_source": "handbook.dlm", "suite": []}))
    run = watch_run(spec=WatchedSpec(spec))
    run.settle()
    assert run.evaluated == []  # nothing is trained yet
    store = paths.for_dlm(DLM_ID)
    committed: list[Path] = []
    for number in range(_COMMITS):
        commit = _Commit(run, number)
        if number % 5 == 3:
            with pytest.raises((ValueError, integrity.NaNWeightsError)):
                commits.commit_version(store, commit.fail, adapter_name=name or None)
        else:
            committed.append(commits.commit_version(store, commit.write, adapter_name=name or None))
        run.settle()
    assert [folder for folder, _ in run.evaluated] == [one.resolve() for one in committed]


class _Commit:
    """Writes a version while the watch looks."""

    def __init__(self, run, number: int) -> None:
        self.run, self.number = run, number

    def write(self, folder: Path) -> None:
        for _ in pieces(folder, self.number):
            self.run.turn(1.5, 2)

    def fail(self, folder: Path) -> None:
        """The weights are not finite, or training is interrupted."""
        self.write(folder)
        raise integrity.NaNWeightsError(["x"]) if self.number % 2 else ValueError("interrupted")
