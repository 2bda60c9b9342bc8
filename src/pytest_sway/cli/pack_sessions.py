"""Runs of pytest that record what is answered, or that answer from a pack."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_sway.atomic_files import ScratchFolder
from pytest_sway.cli.command import CommandError, Exit
from pytest_sway.engine.portable_answers import PortableAnswers
from pytest_sway.items.stash_keys import ANSWER_RECORD
from pytest_sway.packs.errors import PackError
from pytest_sway.packs.member_names import ANSWERS, GOLDEN
from pytest_sway.packs.unpacking import Unpacked, unpack
from pytest_sway.pytest_session import Outcomes, environment, run_quietly
from pytest_sway.reports.json_report import payload
from pytest_sway.result import SuiteResult
from pytest_sway.suites.golden import compare_goldens, mask_variable_fields
from pytest_sway.text.width import clean

_PLACES = ("spec_path", "adapter_id", "base_model_id")
_OF_MACHINE = ("notes", "determinism")
"""What a result says of the machine, and of where its answers came from."""
_MOST_SHOWN = 5
_LONGEST_DIFFERENCE = 200
_TURNED_OFF = "SWAY_DISABLE_NULL_CACHE"
_STORE = "SWAY_NULL_CACHE_DIR"


class RecordedAnswers(Outcomes):
    """A plugin that records every answer of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = PortableAnswers()

    def pytest_configure(self, config: pytest.Config) -> None:
        """Have the engine record."""
        config.stash[ANSWER_RECORD] = self.answers


def record_answers(spec: Path) -> tuple[SuiteResult, PortableAnswers]:
    """Evaluate a suite; its result, and every answer that it took."""
    recorded = RecordedAnswers()
    return run_quietly(spec, [], recorded)[0], recorded.answers


def replay(unpacked: Unpacked) -> SuiteResult:
    """Evaluate the suite of a pack with its own answers, also where keeping answers is turned off."""
    with environment({_STORE: str(_answers_folder(unpacked)), _TURNED_OFF: "0"}):
        return run_quietly(unpacked.spec, [], Outcomes(), root=unpacked.folder)[0]


def _answers_folder(unpacked: Unpacked) -> Path:
    return unpacked.folder / Path(ANSWERS).parent


@dataclass(frozen=True)
class PackSession:
    """A pack that is unpacked while a run lasts.

    Attributes:
        unpacked: where it lies.
    """

    unpacked: Unpacked

    @property
    def spec(self) -> Path:
        """The pack's spec."""
        return self.unpacked.spec

    @property
    def root(self) -> Path:
        """Folder above which no conftest is read."""
        return self.unpacked.folder

    def comparison(self, result: SuiteResult) -> str:
        """Whether a result is the one in the pack."""
        file = self.unpacked.folder / GOLDEN
        if not file.is_file():
            return "the pack contains no result to compare with"
        try:
            golden = json.loads(file.read_text("utf-8"))
            found = (
                differing(golden, payload(result))
                if isinstance(golden, dict)
                else ["the pack's result is not a JSON object"]
            )
        except (OSError, ValueError, RecursionError) as error:
            return f"the pack's result cannot be read: {clean(str(error))}"
        if not found:
            return "the result is identical to the result in the pack"
        more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        return f"the result differs from the result in the pack: {'; '.join(found[:_MOST_SHOWN])}{more}"


@contextmanager
def unpacked_session(pack: Path, base: str | None, adapter: str | None = None) -> Iterator[PackSession]:
    """Unpack a pack into a temporary folder, and have its answers used.

    Args:
        pack: the archive.
        base: the base model's folder on this machine.
        adapter: the adapter's folder.

    Raises:
        CommandError: it may not be unpacked, or it needs a folder that is not given.
    """
    with ScratchFolder("sway-run-") as scratch:
        try:
            found = unpack(
                pack,
                Path(scratch).resolve(),
                base=Path(base) if base is not None else None,
                adapter=Path(adapter) if adapter is not None else None,
            )
        except PackError as error:
            raise CommandError(f"{pack}: {error}", Exit.CANNOT_RUN) from error
        if found.needs:
            options = " ".join(f"--{name} DIR" for name in found.needs)
            raise CommandError(f"{pack} does not contain the {' or the '.join(found.needs)}; pass {options}")
        has_answers = (found.folder / ANSWERS).is_file()
        with environment({_STORE: str(_answers_folder(found))} if has_answers else {}):
            yield PackSession(found)


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Where two results differ, but for times, places, costs and what they say of the machine."""
    first, second = (
        {name: value for name, value in mask_variable_fields(result).items() if name not in _OF_MACHINE}
        for result in (one, other)
    )
    found = compare_goldens(second, first, logprob_tol=0, score_tol=0)
    named = [str(difference) for difference in found if difference.path not in (*_PLACES, "suite")]
    return [
        clean(text if len(text) < _LONGEST_DIFFERENCE else f"{text[:_LONGEST_DIFFERENCE]}…") for text in named
    ]
