"""What the installed dlm reads and knows: its parser, its files of ``training.sources``, its base models."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.records import DlmFile, DlmSection
from pytest_sway.user_error import UserError

_DISTRIBUTION = "document-language-model"
_Value = TypeVar("_Value")


class IncompatibleDlm(UserError):
    """The installed dlm lacks a function that is used, or it behaves otherwise than dlm 0.10."""


def installed_version() -> str | None:
    """Version of the installed dlm; None where it is not installed."""
    try:
        return importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None


def read_with_dlm(path: Path) -> DlmFile:
    """The document as dlm's own parser reads it.

    Raises:
        DlmError: dlm refuses the file.
        IncompatibleDlm: this dlm cannot be asked.
    """

    def read() -> DlmFile:
        from dlm.doc.errors import DlmParseError
        from dlm.doc.parser import parse_file

        try:
            parsed = parse_file(path)
        except DlmParseError as error:
            raise DlmError(" ".join(error.message.split()), error.line) from None
        except (RecursionError, ValueError, LookupError, AttributeError) as error:
            raise DlmError(f"dlm cannot read the document: {' '.join(str(error).split())}") from None
        return _file(path, parsed)

    return _compatible("dlm.doc.parser.parse_file", read)


def source_sections(path: Path) -> tuple[list[DlmSection], int]:
    """The texts of ``training.sources`` as dlm collects them, and how many media files it found.

    Raises:
        DlmError: a path is not there, or is not allowed.
        IncompatibleDlm: this dlm cannot be asked.
    """

    def read() -> tuple[list[DlmSection], int]:
        from dlm.directives import DirectiveError, expand_sources
        from dlm.doc.parser import parse_file

        try:
            found = expand_sources(parse_file(path), base_path=path.parent)
        except (DirectiveError, OSError, ValueError) as error:
            raise DlmError(f"training.sources: {' '.join(str(error).split())}") from None
        media = sum(one.skipped_image_no_store + one.skipped_audio_no_store for one in found.provenance)
        return [_section(one, is_source=True) for one in found.sections], media

    return _compatible("dlm.directives.expand_sources", read)


def registry_base(key: str) -> tuple[str, str | None] | None:
    """Name on the hub and pinned revision of a base model by its key; None for an unknown key.

    Raises:
        IncompatibleDlm: this dlm cannot be asked.
    """

    def find() -> tuple[str, str | None] | None:
        from dlm.base_models import UnknownBaseModelError, resolve

        try:
            found = resolve(key, accept_license=True)  # whether the hub gives it is seen when it is loaded
        except UnknownBaseModelError:
            return None
        return str(found.hf_id), found.revision

    return _compatible("dlm.base_models.resolve", find)


def _compatible(name: str, ask: Callable[[], _Value]) -> _Value:
    """What a function of dlm answers."""
    try:
        return ask()
    except DlmError:
        raise
    except Exception as error:  # whatever a broken or another dlm raises
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise IncompatibleDlm(f"dlm {installed_version()}: {name} failed ({what})") from error


def _file(path: Path, parsed: Any) -> DlmFile:
    front = parsed.frontmatter
    named = front.training.adapters or {}
    methods = {name: one.adapter for name, one in named.items()} or {"": front.training.adapter}
    return DlmFile(
        path,
        front.dlm_id,
        front.base_model,
        front.system_prompt or "",
        tuple(named),
        tuple(name for name, method in methods.items() if method == "qlora"),
        tuple(one.path for one in front.training.sources or ()),
        tuple(_section(one) for one in parsed.sections),
    )


def _section(one: Any, *, is_source: bool = False) -> DlmSection:
    line = 0 if is_source else one.start_line
    markers = one.auto_harvest + one.auto_mined + one.auto_synth
    return DlmSection(
        one.type.value,
        one.content,
        line,
        line + 1 + markers,
        one.adapter or "",
        one.media_path or "",
        tuple(f"{key}: {value}" for key, value in sorted(one.tags.items())),
    )
