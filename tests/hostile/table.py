"""``python -m tests.hostile.table [WORD ...]``: cases whose ids have one of the words, and their figures."""

# ruff: noqa: E501, T201

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.hostile.case import Outcome
from tests.hostile.corpus import CASES
from tests.hostile.runner import Runner


def main() -> int:
    """Print faults as they are found, then the table; 1 where there is a fault."""
    words, folder = sys.argv[1:], Path(tempfile.mkdtemp(prefix="hostile-"))
    by_kind: dict[str, list[tuple[Outcome, list[str]]]] = defaultdict(list)
    with Runner(folder) as runner:
        for case in CASES:
            if words and not any(word in case.id for word in words):
                continue
            outcome = runner.run(case)
            faults = outcome.faults(case.wanted)
            by_kind[case.kind].append((outcome, faults))
            line = " ".join(outcome.text.split())[-230:]
            figures = f"{outcome.seconds:.1f} s {outcome.wall:.1f} s {outcome.peak >> 20} MiB"
            print(f"{'FAULT' if faults else outcome.end:8} {figures:22} {case.id}: {line}", flush=True)
            for fault in faults:
                print(f"         {fault}", flush=True)
            for used in folder.glob("case*"):
                shutil.rmtree(used) if used.is_dir() else used.unlink()
    shutil.rmtree(folder)
    print("\nkind       cases  refused  harmless  faults  slowest (processor)  peak memory")
    for kind, found in by_kind.items():
        ends = [outcome.end for outcome, _ in found]
        slowest = max(outcome.seconds for outcome, _ in found)
        peak = max(outcome.peak for outcome, _ in found) >> 20
        wrong = sum(bool(faults) for _, faults in found)
        print(
            f"{kind:10} {len(found):5}  {ends.count('refused'):7}  {ends.count('harmless'):8}  {wrong:6}  {slowest:17.1f} s  {peak:7} MiB"
        )
    return int(any(faults for found in by_kind.values() for _, faults in found))


if __name__ == "__main__":
    sys.exit(main())
