"""Which adapters are evaluated, and when: real folders that change while they are looked at."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pytest_sway.dlm.errors import DlmError
from pytest_sway.watch import watcher as watcher_module
from pytest_sway.watch.adapter_folders import adapter_digest
from pytest_sway.watch.events import EventKind
from pytest_sway.watch.on_fail import OnFail
from pytest_sway.watch.sources import (
    AdapterSource,
    CurrentVersion,
    FoldersBelow,
    NamedFolders,
    SourceError,
    source_of_names,
)
from pytest_sway.watch.watched_spec import WatchedSpec
from tests.support.written_adapters import pieces, weights, write_adapter
from tests.watch.conftest import WatchRun, WatchRuns

_EVENTS = 20


def _checkpoints(folder: Path) -> tuple[AdapterSource, Callable[[int], Iterator[object]]]:
    """Checkpoints of a Trainer."""
    return FoldersBelow(folder), lambda number: pieces(
        folder / f"checkpoint-{number * 10}", number, trainer=True
    )


def _renamed_checkpoints(folder: Path) -> tuple[AdapterSource, Callable[[int], Iterator[object]]]:
    """Checkpoints that get their name at the end, found by a pattern."""

    def write(number: int) -> Iterator[object]:
        unfinished = folder / f"tmp-checkpoint-{number}"
        yield from pieces(unfinished, number, trainer=True)
        unfinished.rename(folder / f"checkpoint-{number}")

    return NamedFolders(("checkpoint-*",), (folder,)), write


def _in_place(folder: Path) -> tuple[AdapterSource, Callable[[int], Iterator[object]]]:
    """An adapter's folder that is written anew each time."""
    return NamedFolders(("adapter",), (folder,)), lambda number: pieces(folder / "adapter", number)


def _listed(folder: Path) -> tuple[AdapterSource, Callable[[int], Iterator[object]]]:
    """A list of folders, which come in turns."""
    names = ("one", "two", "three")
    return NamedFolders(names, (folder,)), lambda number: pieces(folder / names[number % 3], number)


def _dlm_store(folder: Path) -> tuple[AdapterSource, Callable[[int], Iterator[object]]]:
    """A version of a dlm store, and then the pointer to it, in two parts."""

    def write(number: int) -> Iterator[object]:
        name = f"adapter/versions/v{number + 1:04d}"
        yield from pieces(folder / name, number)
        pointer = folder / "adapter" / "current.txt"
        pointer.write_text(name[:-3])
        yield "half of the pointer"
        pointer.write_text(f"{name}\n")

    (folder / "adapter").mkdir(parents=True)
    return CurrentVersion(folder), write


def _dlm_link(folder: Path) -> tuple[AdapterSource, Callable[[int], Iterator[object]]]:
    """A version of an old dlm store, and then the link to it."""

    def write(number: int) -> Iterator[object]:
        version = folder / "adapter" / "versions" / f"v{number + 1:04d}"
        yield from pieces(version, number)
        link = folder / "adapter" / "latest"
        link.unlink(missing_ok=True)
        yield "no link"
        link.symlink_to(version)

    (folder / "adapter").mkdir(parents=True)
    return CurrentVersion(folder), write


KINDS = [_checkpoints, _renamed_checkpoints, _in_place, _listed, _dlm_store, _dlm_link]


@pytest.mark.parametrize("kind", KINDS)
def test_each_finished_adapter_is_evaluated_once(
    tmp_path: Path, watch_run: WatchRuns, kind: Callable
) -> None:
    source, write = kind(tmp_path / "run")
    one = watch_run(source)
    for number in range(_EVENTS):
        seen = len(one.evaluated)
        for _ in write(number):
            one.turn(0.3, number % 4)  # half written, for longer or shorter than an adapter must be quiet
            one.turn(3.0, number % 2)
            assert len(one.evaluated) == seen
        one.settle()
        assert len(one.evaluated) == seen + 1
    digests = [digest for _, digest in one.evaluated]
    assert len(set(digests)) == _EVENTS
    assert digests[-1] == adapter_digest(one.evaluated[-1][0])
    assert one.kinds() == [EventKind.EVALUATING, EventKind.EVALUATED] * _EVENTS
    written = [json.loads(entry.file.read_bytes()) for entry in one.history.entries]
    assert [Path(content["adapter_id"]) for content in written] == [folder for folder, _ in one.evaluated]
    assert [content["sway_watch"]["adapter_digest"] for content in written] == digests


@pytest.mark.parametrize("kind", KINDS)
def test_bursts_are_evaluated_in_their_order(tmp_path: Path, watch_run: WatchRuns, kind: Callable) -> None:
    source, write = kind(tmp_path / "run")
    one = watch_run(source)
    numbers = itertools.count()
    last = ""
    for burst in (1, 2, 5, 12):
        for _ in range(burst):
            for _ in write(next(numbers)):
                one.turn(0.01)
        one.settle()
        last = one.evaluated[-1][1]
        assert last == adapter_digest(one.evaluated[-1][0])
    digests = [digest for _, digest in one.evaluated]
    assert len(digests) == len(set(digests))
    if kind in (_checkpoints, _renamed_checkpoints):  # what stays there is never left out
        assert len(digests) == _EVENTS
        names = [int(folder.name.rpartition("-")[2]) for folder, _ in one.evaluated]
        assert names == sorted(names)


def _watched_adapter(tmp_path: Path, watch_run: WatchRuns, **options: object) -> tuple[WatchRun, Path]:
    folder = write_adapter(tmp_path / "run" / "adapter", 1)
    return watch_run(NamedFolders(("adapter",), (tmp_path / "run",)), **options), folder


def test_an_adapter_that_changes_while_it_is_evaluated(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, folder = _watched_adapter(tmp_path, watch_run)
    changes = [2]
    one.during = lambda path: write_adapter(path, changes.pop()) and None if changes else None
    one.settle()
    assert [path for path, _ in one.evaluated] == [folder, folder]
    assert one.kinds() == [EventKind.EVALUATING, EventKind.CHANGED, EventKind.EVALUATING, EventKind.EVALUATED]
    assert [entry.digest for entry in one.history.entries] == [adapter_digest(folder)]


def test_an_adapter_that_is_deleted_while_it_is_evaluated(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, _ = _watched_adapter(tmp_path, watch_run)
    one.during = shutil.rmtree
    one.settle()
    assert one.kinds() == [EventKind.EVALUATING, EventKind.CHANGED]
    assert "was deleted during" in one.said[-1].message
    assert one.history.entries == []


def test_what_stays_incomplete_is_reported_once(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, folder = _watched_adapter(tmp_path, watch_run)
    content = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(content[:-100])
    one.settle()
    one.settle()
    assert one.kinds() == [EventKind.INCOMPLETE]
    assert "adapter_model.safetensors" in one.said[0].message
    (folder / "adapter_model.safetensors").write_bytes(content)
    one.settle()
    assert len(one.evaluated) == 1


def test_a_checkpoint_of_another_trainer_is_taken_after_a_while(tmp_path: Path, watch_run: WatchRuns) -> None:
    write_adapter(tmp_path / "run" / "checkpoint-5", 1)
    one = watch_run(FoldersBelow(tmp_path / "run"))
    one.turn(0.5, 58)
    assert one.evaluated == []
    one.turn(0.5, 8)
    assert len(one.evaluated) == 1


def test_a_copy_is_not_evaluated_again(tmp_path: Path, watch_run: WatchRuns) -> None:
    folder = tmp_path / "run"
    write_adapter(folder / "checkpoint-1", 1, trainer=True)
    write_adapter(folder, 1)
    one = watch_run(FoldersBelow(folder))
    one.settle()
    assert [path.name for path, _ in one.evaluated] == ["checkpoint-1"]
    assert one.kinds() == [EventKind.EVALUATING, EventKind.EVALUATED, EventKind.SAME]
    assert one.said[-1].message == "not evaluated, because the same adapter was already evaluated as #1"
    one.settle()
    assert len(one.said) == 3  # nothing is said of a folder's own adapter


def test_the_next_watch_goes_on_where_the_last_one_ended(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, folder = _watched_adapter(tmp_path, watch_run)
    one.settle()
    again, _ = _watched_adapter(tmp_path, watch_run)
    again.settle()
    assert again.evaluated == []
    write_adapter(folder, 2)
    again.settle()
    outcome = again.said[-1].outcome
    assert outcome is not None
    assert outcome.sequence == 2
    assert outcome.trend is not None
    assert outcome.trend.last is not None
    assert outcome.trend.last.composite == 0.0


def test_an_error_is_no_end(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, folder = _watched_adapter(tmp_path, watch_run)
    one.verdicts = ["error"]
    one.settle()
    assert one.kinds() == [EventKind.EVALUATING, EventKind.ERROR]
    content = json.loads(one.history.entries[0].file.read_bytes())
    assert content["verdict"] == content["sway_watch"]["verdict"] == "error"
    assert content["error"] == "out of memory"
    write_adapter(folder, 2)
    one.settle()
    assert one.kinds()[-1] is EventKind.EVALUATED


def test_a_spec_that_is_edited(tmp_path: Path, watch_run: WatchRuns) -> None:
    spec = tmp_path / "sway.yaml"
    models = "models: {{base: {{base: b}}, ft: {{base: b, adapter: {}}}}}\nsuite: []\n"
    spec.write_text(models.format("one"))
    write_adapter(tmp_path / "one", 1)
    write_adapter(tmp_path / "two", 2)
    one = watch_run(spec=WatchedSpec(spec))
    one.verdicts = ["error"]
    one.settle()
    assert [path.name for path, _ in one.evaluated] == ["one"]
    spec.write_text("models: [")
    one.settle()
    assert one.kinds()[-1] is EventKind.SPEC
    assert "nothing is evaluated until this is fixed" in one.said[-1].message
    write_adapter(tmp_path / "one", 3)
    one.settle()
    assert len(one.evaluated) == 1
    spec.write_text(models.format("[one, two]"))
    one.settle()
    assert [path.name for path, _ in one.evaluated] == ["one", "one", "two"]
    assert len(one.history.entries) == 3


def test_an_error_is_tried_again_with_another_spec(tmp_path: Path, watch_run: WatchRuns) -> None:
    spec = tmp_path / "sway.yaml"
    spec.write_text("models: {ft: {adapter: one}}\n")
    write_adapter(tmp_path / "one", 1)
    one = watch_run(spec=WatchedSpec(spec))
    one.verdicts = ["error"]
    one.settle()
    shutil.move(tmp_path / "one", tmp_path / "away")
    one.settle()
    shutil.move(tmp_path / "away", tmp_path / "one")
    one.settle()
    assert len(one.evaluated) == 1  # it is the adapter that failed
    spec.write_text("models: {ft: {adapter: [one]}}\n")
    one.settle()
    assert len(one.evaluated) == 2
    spec.unlink()  # an editor replaces it
    one.settle()
    assert one.kinds()[-1] is EventKind.EVALUATED


def test_a_pointer_that_stays_wrong_is_said_once(tmp_path: Path, watch_run: WatchRuns) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "current.txt").write_text("adapter/versions/v0009")
    one = watch_run(CurrentVersion(tmp_path))
    one.settle()
    one.settle()
    assert one.kinds() == [EventKind.INCOMPLETE]
    assert issubclass(DlmError, Exception)
    assert "v0009" in one.said[0].message


def test_the_command_where_an_adapter_fails(tmp_path: Path, watch_run: WatchRuns) -> None:
    written = tmp_path / "seen.txt"
    code = (
        f"import os; open({str(written)!r}, 'w').write(os.environ['SWAY_RESULT_PATH']); raise SystemExit(3)"
    )
    one, folder = _watched_adapter(tmp_path, watch_run, on_fail=OnFail((sys.executable, "-c", code), 20))
    one.verdicts = ["pass", "fail", "error"]
    one.settle()
    assert not written.exists()
    write_adapter(folder, 2)
    one.settle()
    assert Path(written.read_text()) == one.history.entries[1].file
    assert one.said[-1].kind is EventKind.ON_FAIL
    assert one.said[-1].message == "--on-fail ended with status 3"
    written.unlink()
    write_adapter(folder, 3)
    one.settle()
    assert not written.exists()


@pytest.mark.parametrize(
    ("command", "timeout", "ended"),
    [
        (("no-such-command",), 5, "could not be started"),
        (("sleep", "30"), 0.1, "was terminated after 0.1 s"),
        (("sh", "-c", "kill -TERM $$"), 5, "was terminated by signal 15"),
        (("true",), 5, "ended with status 0"),
    ],
)
def test_how_the_command_ends(tmp_path: Path, command: tuple[str, ...], timeout: float, ended: str) -> None:
    assert OnFail(command, timeout).run(tmp_path / "r.json").startswith(ended)


def test_a_short_pause_between_whole_files_is_waited_for(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, folder = _watched_adapter(tmp_path, watch_run)
    for seed in range(2, 6):
        one.turn(0.5)
        write_adapter(folder, seed)
    assert one.evaluated == []
    one.settle()
    assert len(one.evaluated) == 1


def test_a_checkpoint_that_is_written_again(tmp_path: Path, watch_run: WatchRuns) -> None:
    folder = write_adapter(tmp_path / "run" / "checkpoint-1", 1, trainer=True)
    one = watch_run(FoldersBelow(tmp_path / "run"))
    one.settle()
    for _ in pieces(folder, 2, trainer=True):
        one.turn(3.0, 2)
        assert len(one.evaluated) == 1
    one.settle()
    assert len(one.evaluated) == 2


def test_an_unfinished_name_is_not_evaluated(tmp_path: Path, watch_run: WatchRuns) -> None:
    write_adapter(tmp_path / "run" / "tmp-checkpoint-1", 1, trainer=True)
    one = watch_run(FoldersBelow(tmp_path / "run"))
    one.settle()
    assert one.kinds() == [EventKind.INCOMPLETE]


def test_half_of_the_weights_of_mlx(tmp_path: Path, watch_run: WatchRuns) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    lora = {"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": {"rank": 2, "scale": 1.0}}
    (folder / "adapter_config.json").write_text(json.dumps(lora))
    (folder / "adapters.safetensors").write_bytes(weights(1)[:500])
    one = watch_run(NamedFolders(("adapter",), (tmp_path,)))
    one.turn(2.0, 10)
    assert one.evaluated == []
    (folder / "adapters.safetensors").write_bytes(weights(1))
    one.settle()
    assert len(one.evaluated) == 1


def test_logs_beside_an_adapter_do_not_matter(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, folder = _watched_adapter(tmp_path, watch_run)
    one.during = lambda path: (path / "README.md").write_text("x") and None
    for number in range(20):
        (folder / "trainer_log.jsonl").write_text("{}\n" * number)
        one.turn(0.5)
    assert len(one.evaluated) == 1
    assert one.kinds() == [EventKind.EVALUATING, EventKind.EVALUATED]


def test_links_in_circles_hinder_no_other(tmp_path: Path, watch_run: WatchRuns) -> None:
    folder = tmp_path / "run"
    write_adapter(folder / "checkpoint-2", 1, trainer=True)
    (folder / "loop").symlink_to("loop")
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "adapter_config.json").symlink_to("adapter_config.json")
    source = FoldersBelow(folder)
    one = watch_run(source)
    one.settle()
    assert [path.name for path, _ in one.evaluated] == ["checkpoint-2"]
    assert EventKind.INCOMPLETE in one.kinds()
    assert folder in source.places()
    shutil.rmtree(folder)
    one.settle()
    assert source.places() == {tmp_path}


def test_weights_that_cannot_be_read_hinder_no_other(
    tmp_path: Path, watch_run: WatchRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_adapter(tmp_path / "run" / "checkpoint-1", 1, trainer=True)
    write_adapter(tmp_path / "run" / "checkpoint-2", 2, trainer=True)
    broken = [first]

    def digest(folder: Path) -> str:
        if folder in broken:
            raise OSError(5, "Input/output error")
        return adapter_digest(folder)

    monkeypatch.setattr(watcher_module, "adapter_digest", digest)
    one = watch_run(FoldersBelow(tmp_path / "run"))
    one.settle()
    assert [path.name for path, _ in one.evaluated] == ["checkpoint-2"]
    assert "cannot be read: Input/output error" in [event.message for event in one.said][-1]
    assert one.watcher.step() > 0
    broken.clear()
    one.settle()
    assert [path.name for path, _ in one.evaluated] == ["checkpoint-2", "checkpoint-1"]


def test_a_result_of_another_adapter_is_an_error(tmp_path: Path, watch_run: WatchRuns) -> None:
    one, _ = _watched_adapter(tmp_path, watch_run)
    one.measured = tmp_path / "another"
    one.settle()
    assert one.kinds() == [EventKind.EVALUATING, EventKind.ERROR]
    assert "another adapter" in one.said[-1].message


def test_a_result_that_cannot_be_written_is_written_later(
    tmp_path: Path, watch_run: WatchRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, folder = _watched_adapter(tmp_path, watch_run)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(one.history, "add", full)
        one.settle()
        write_adapter(folder, 2)
        one.settle()
    assert one.kinds() == [EventKind.EVALUATING, EventKind.ERROR]
    assert "cannot be written: No space left on device" in one.said[-1].message
    shutil.rmtree(tmp_path / "history")  # somebody deleted files
    one.settle()
    assert len(one.history.entries) == 2
    assert len(one.evaluated) == 2


def test_sources_of_names_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="~nobody-of-that-name"):
        source_of_names(["~nobody-of-that-name/run"])
    write_adapter(tmp_path / "run" / "checkpoint-1", 1)
    both = source_of_names([str(tmp_path / "none"), str(tmp_path / "run")])
    assert [folder.name for folder in both.folders()] == ["checkpoint-1"]


@pytest.mark.slow
def test_a_command_that_ignores_the_interrupt(tmp_path: Path) -> None:
    began = time.monotonic()
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    assert "was terminated after" in OnFail((sys.executable, "-c", code), 0.5).run(tmp_path)
    assert time.monotonic() - began < 20


@pytest.mark.nightly
def test_ten_thousand_events_leave_no_memory_behind(tmp_path: Path, watch_run: WatchRuns) -> None:
    """A day of checkpoints, of which the Trainer keeps two."""
    folder = tmp_path / "run"
    one, process, sizes = watch_run(FoldersBelow(folder), most=100), psutil.Process(), list[int]()
    for number in range(10_000):
        write_adapter(folder / f"checkpoint-{number}", number, trainer=True)
        if number > 1:
            shutil.rmtree(folder / f"checkpoint-{number - 2}")
        one.turn(3.0, 3)
        assert len(one.evaluated) == 1
        one.evaluated.clear()
        one.said.clear()
        if number % 1000 == 999:
            sizes.append(process.memory_info().rss >> 20)
    print(sizes)  # noqa: T201 - the figures of the nightly run, MiB
    assert sizes[-1] - sizes[0] < 8
    assert len(list((tmp_path / "history").iterdir())) == 100
