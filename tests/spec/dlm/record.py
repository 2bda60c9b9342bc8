"""Records a small set of generated specs that dlm-sway accepts: one for each row, one for each field.

Run from the repository's root: ``SWAY_DLM_PYTHON=… PYTHONPATH=src python -m tests.spec.dlm.record``.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from tests.support.adapter_stubs import adapter_stub
from tests.support.dlm_specs import FOLDER, as_yaml, base_spec, single_variations, texts
from tests.support.dlm_table import TableRow, accepted_by_dlm_sway, explained_by, refusals, rows

EVERY = 48
"""Of the specs that both accept, every so many is recorded."""


def main() -> None:
    specs = texts(single_variations())
    verdicts = accepted_by_dlm_sway(os.environ["SWAY_DLM_PYTHON"], specs)
    accepted = [text for text, right in zip(specs, verdicts, strict=True) if right]
    kept, needed, both = [as_yaml(base_spec())], set[TableRow](), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        adapter_stub(folder / "adapter")
        os.chdir(folder)
        for text in accepted:
            lines = refusals(folder, text)
            found = {row for line in lines for row in explained_by(line, text, rows())}
            if not lines:
                both.append(text)
            elif found - needed:
                kept.append(text)
                needed |= found
    recorded = list(dict.fromkeys([*kept, *both[::EVERY]]))
    (FOLDER / "accepted.json").write_text(
        json.dumps(recorded, indent=0, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
