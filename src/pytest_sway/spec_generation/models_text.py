"""``models:`` and ``defaults:`` of a generated spec."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.spec_generation.annotated_yaml import block, comment

_MOST_STEPS_UP = 2
"""A folder that is farther away is written with its whole path."""


@dataclass(frozen=True)
class BaseFields:
    """What a spec says of its base model.

    Attributes:
        name: a folder, or a name on the hub.
        revision: that is pinned on the hub.
        quantization: what it is quantized to as it is loaded.
    """

    name: str
    revision: str | None = None
    quantization: str | None = None

    def written(self, spec: Path) -> dict[str, str]:
        """As a side of ``models:``; folders are relative to the spec's."""
        fields = {"kind": "hf", "base": written_path(self.name, spec)}
        optional = {"revision": self.revision, "quantization": self.quantization}
        return fields | {name: value for name, value in optional.items() if value is not None}


def models_text(spec: Path, base: BaseFields, adapter: Path | None) -> str:
    """Both fields, with comments.

    Args:
        spec: where the spec will be written; folders are relative to its own.
        base: the base model.
        adapter: None: it is yet to be trained, in ``adapter`` beside the spec.
    """
    side = base.written(spec)
    folder = written_path(str(adapter), spec) if adapter is not None else "./adapter"
    models = {"base": side, "ft": {**side, "adapter": folder}}
    lines = ["models:\n", block(models, 2)]
    if adapter is None:
        lines.append(
            comment("training must save the adapter in this folder; to change it, pass --adapter DIR", 2)
        )
    lines += [
        "defaults:\n",
        comment("how much is measured: quick (a first look), standard or thorough", 2),
        "  profile: standard\n",
        comment(
            "auto: apply the tokenizer's chat template to questions, if it has one; raw: never apply it", 2
        ),
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
