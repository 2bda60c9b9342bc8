"""A ``.dlm`` file as records: what its front matter says, and its sections."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SectionType = Literal["prose", "instruction", "preference", "image", "audio"]
MEDIA: tuple[SectionType, ...] = ("image", "audio")
ADAPTER_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class DlmSection:
    """One section of the body.

    Attributes:
        type: what its fence says; text outside of fences is prose.
        content: its text, without the fence and the marker comments.
        line: of its fence, or of the first line of prose; 0 for a file of ``training.sources``.
        content_line: of the first line of its text.
        adapter: NAME of ``::instruction#NAME::``; empty without.
        media_path: of an image or a sound.
        tags: of a file of ``training.sources``, as ``key: value``.
    """

    type: SectionType
    content: str
    line: int = 0
    content_line: int = 0
    adapter: str = ""
    media_path: str = ""
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Dlm's ``section_id``: 16 hex digits of type and content, the same for equal sections."""
        identity = self.media_path if self.type in MEDIA else self.content.removeprefix(_BOM)
        return hashlib.sha256(f"{self.type}\n{identity}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DlmFile:
    """A document.

    Attributes:
        path: of the file.
        dlm_id: names its store.
        base_model: a key of dlm's registry, or ``hf:org/name``.
        system_prompt: empty without.
        adapters: names under ``training.adapters``, in their order; empty for a document with one adapter.
        qlora: those of them that are trained on a quantized base; ``""`` stands for the only one.
        sources: paths under ``training.sources``.
        sections: in the order of the file.
    """

    path: Path
    dlm_id: str
    base_model: str
    system_prompt: str = ""
    adapters: tuple[str, ...] = ()
    qlora: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    sections: tuple[DlmSection, ...] = ()
