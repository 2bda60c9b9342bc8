"""Fuzzing guided by coverage: ``python tests/fuzz/coverage_guided.py --seconds 600 [READER ...]``.

Every reader has an equal share of the time, in a process of its own: half for bytes as they come, half for
what the reader's own strategy makes of them. A failing input is shortened and kept in
``tests/fuzz/corpus/READER``; one of each kind. Needs atheris, which is no dependency of this package.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(_ROOT), str(_ROOT / "src")]

_CORPUS = Path(__file__).parent / "corpus"
_SHORTENING_SECONDS = 5.0
_STARTING_SECONDS = 300
"""Importing takes long where every module is instrumented."""
_WAYS = ("bytes", "strategy")


def main() -> int:
    """Fuzz the readers one after the other and print a table; 1 where an input failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="Of all readers together")
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--way", choices=_WAYS, help=argparse.SUPPRESS)  # of a reader's own process
    parsed = parser.parse_args()
    if parsed.way is not None:
        _fuzz(parsed.readers[0], parsed.way, parsed.seconds)
    from tests.fuzz.readers import READERS

    names = parsed.readers or list(READERS)
    if unknown := sorted(set(names) - set(READERS)):
        parser.error(f"unknown reader {unknown[0]}; known: {', '.join(READERS)}")
    share = max(1, parsed.seconds // (len(names) * len(_WAYS)))
    print(f"{'reader':24} {'way':8} {'inputs':>9} {'edges':>7} {'failures':>8}")
    return int(sum(_run(name, way, share) for name in names for way in _WAYS) > 0)


def _run(name: str, way: str, seconds: int) -> int:
    """Fuzz one reader in a process; the number of its failures."""
    command = [sys.executable, __file__, "--seconds", str(seconds), "--way", way, name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds + _STARTING_SECONDS
        )
        log, code = done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        log, code = str(error.stderr or ""), 1
    inputs, edges = _last(r"stat::number_of_executed_units: (\d+)", log), _last(r"cov: (\d+)", log)
    failures = log.count(_MARK)
    if code != 0 and not failures:  # the process died: its last lines say of what
        failures = 1
        print(log[-2000:])
    print(f"{name:24} {way:8} {inputs:>9} {edges:>7} {failures:>8}", flush=True)
    for line in log.splitlines():
        if line.startswith(_MARK):
            print(f"    {line.removeprefix(_MARK)}", flush=True)
    return failures


def _last(pattern: str, log: str) -> str:
    found = re.findall(pattern, log)
    return found[-1] if found else "-"


_MARK = "FAILURE "


def _fuzz(name: str, way: str, seconds: int) -> None:
    """Fuzz in this process, which libFuzzer ends."""
    import atheris  # type: ignore[import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["pytest_sway"]):
        for module in ("pytest_sway.probes", "pytest_sway.spec", "pytest_sway.dlm", "pytest_sway.packs"):
            _import_all(module)
        from tests.fuzz.readers import READERS
    reader = READERS[name]
    folder = Path(tempfile.mkdtemp(prefix="sway-fuzz-"))
    failures = Failures(reader, folder / "files")
    seeds = folder / "seeds"
    seeds.mkdir()
    if way == "bytes":
        for content in reader.sound:
            (seeds / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    one_input = failures.check if way == "bytes" else _through_strategy(reader, failures.check)
    options = [f"-max_total_time={seconds}", "-handle_alrm=0", "-max_len=8192", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=0", "-timeout=0", str(seeds)], one_input)
    atheris.Fuzz()


def _import_all(package: str) -> None:
    import pkgutil
    from importlib import import_module

    for found in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
        if not found.ispkg:
            import_module(found.name)


def _through_strategy(reader: Any, check: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Contents that the reader's strategy makes of the bytes."""
    from hypothesis import HealthCheck, given, settings

    @settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(reader.contents)
    def one_content(content: bytes) -> None:
        check(content)

    return one_content.hypothesis.fuzz_one_input  # type: ignore[attr-defined,no-any-return]


class Failures:
    """Checks contents, and keeps one of each kind that fails."""

    def __init__(self, reader: Any, folder: Path) -> None:
        self._reader, self._folder = reader, folder
        self._kept: set[str] = set()

    def check(self, content: bytes) -> None:
        """Nothing is raised: fuzzing goes on behind a failure."""
        kind = self._failure(content)
        if kind is None or kind in self._kept:
            return
        self._kept.add(kind)
        content = self._shortened(content, kind)
        file = _CORPUS / self._reader.name / hashlib.sha256(content).hexdigest()[:16]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        print(f"{_MARK}{kind}: {file.relative_to(_ROOT)}", file=sys.stderr, flush=True)

    def _failure(self, content: bytes) -> str | None:
        """What is raised, and the last line of the package that it passed."""
        from tests.fuzz.reader import check

        try:
            with contextlib.redirect_stdout(None):
                check(self._reader, content, self._folder)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if f"{os.sep}pytest_sway{os.sep}" in frame.filename]
            where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "the check"
            return f"{type(error).__name__} in {where}"
        return None

    def _shortened(self, content: bytes, kind: str) -> bytes:
        """The content without pieces that the failure does not need."""
        until = time.monotonic() + _SHORTENING_SECONDS
        for candidate_of in _cuts(len(content)):
            shorter = content[: candidate_of.start] + content[candidate_of.stop :]
            if time.monotonic() > until:
                break
            if len(shorter) < len(content) and self._failure(shorter) == kind:
                content = shorter
        return content


def _cuts(length: int) -> Iterator[slice]:
    """Pieces of half the length, of a quarter, and so on, from the end."""
    size = length // 2
    while size:
        yield from (slice(at, at + size) for at in range(length - size, -1, -size))
        size //= 2


if __name__ == "__main__":
    sys.exit(main())
