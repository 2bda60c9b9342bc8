"""``models:`` and ``defaults:`` of a generated spec."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_sway.spec_generation.annotated_yaml import block, comment

_MOST_STEPS_UP = 2
"""A folder that is farther away is written with its whole path."""


def models_text(spec: Path, base: str, adapter: Path | None) -> str:
    """Both fields, with comments.

    Args:
        spec: where the spec will be written; folders are relative to its own.
        base: a folder, or a name on the hub.
        adapter: None: it is yet to be trained, in ``adapter`` beside the spec.
    """
    named = written_path(base, spec)
    folder = written_path(str(adapter), spec) if adapter is not None else "./adapter"
    models = {"base": {"kind": "hf", "base": named}, "ft": {"kind": "hf", "base": named, "adapter": folder}}
    lines = ["models:\n", block(models, 2)]
    if adapter is None:
        lines.append(comment("the folder that training will write; --adapter DIR names another", 2))
    lines += [
        "defaults:\n",
        comment("how much is measured: quick (a first look), standard or thorough", 2),
        "  profile: standard\n",
        comment("auto: questions go through the tokenizer's chat template where there is one; raw: never", 2),
        "  prompt_policy: auto\n",
    ]
    return "".join(lines)


def written_path(name: str, spec: Path) -> str:
    """A folder relative to the spec's where it is near; a name on the hub as it is."""
    path, folder = Path(name).resolve(), spec.resolve().parent
    if not path.exists():
        return name
    relative = Path(os.path.relpath(path, folder)).as_posix()
    if relative.split("/").count("..") > _MOST_STEPS_UP:
        relative = str(path)
    elif not relative.startswith(".."):
        relative = f"./{relative}"
    return relative.replace("$", "$$")  # a spec's variables begin with one
