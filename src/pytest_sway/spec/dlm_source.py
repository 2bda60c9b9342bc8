"""``dlm_source:`` of a spec: the ``.dlm`` file whose sections its adapters were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_sway.dlm.document import document_of
from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.reader import read_dlm
from pytest_sway.dlm.records import DlmFile
from pytest_sway.dlm.store import version_of
from pytest_sway.document import Document
from pytest_sway.spec.path_lookup import find_path, is_file
from pytest_sway.spec.problems import Problem
from pytest_sway.spec.yaml_source import Source
from pytest_sway.text.message_parts import describe

_FIELD = "dlm_source"


@dataclass(frozen=True)
class DlmSource:
    """What a spec takes from its ``.dlm`` file.

    Attributes:
        document: sections, and the controls that the file holds.
        system_prompt: empty without.
        notes: on what is left out, at the field's position.
    """

    document: Document = field(default_factory=Document)
    system_prompt: str = ""
    notes: tuple[Problem, ...] = ()


def read_dlm_source(
    source: Source, written: str | None, adapters: Sequence[Path], written_system_prompt: str | None
) -> tuple[DlmSource, list[Problem]]:
    """The document, and what is wrong with it.

    Args:
        source: of the spec; the file is looked up in its folder first, then in the working directory.
        written: the path.
        adapters: folders of the adapters to be evaluated; where one is a version of a named adapter in a
            dlm store, the sections are those that dlm trains it on.
        written_system_prompt: of the spec's ``defaults``; None where it names none.
    """
    if written is None:
        return DlmSource(), []
    position = source.locate((_FIELD,))
    path = find_path(written, source.roots)
    try:
        if source.value.get("sections") is not None:
            raise DlmError(
                "sections and dlm_source cannot be used together, because the sections are read from the "
                ".dlm file. Remove one of these two keys"
            )
        if not is_file(path):
            raise DlmError(
                f"there is no file {describe(written)} next to the spec or in the working directory"
            )
        try:
            file, notes = read_dlm(path)
            found = document_of(file, _trained_adapter(adapters, file))
        except DlmError as error:
            place = f"{path.name}:{error.line}" if error.line else path.name
            raise DlmError(f"{place}: {error.message}") from None
    except DlmError as error:
        return DlmSource(), [Problem(f"{_FIELD}: {error.message}", *position)]
    texts = [*notes, *found.notes]
    if file.system_prompt.strip() and written_system_prompt is None:
        texts.append(
            "the system_prompt of the .dlm file is added to every question that uses the chat template, but "
            "dlm 0.10 trains without it. Set defaults.system_prompt to the prompt that you want, or to an "
            "empty string to use none"
        )
    return DlmSource(
        found.document, file.system_prompt, tuple(Problem(f"{_FIELD}: {text}", *position) for text in texts)
    ), []


def _trained_adapter(adapters: Sequence[Path], file: DlmFile) -> str:
    """The name of the adapter in a document with several; empty in one with a single adapter.

    Raises:
        DlmError: a folder is no version of one of them, or they were each trained on other sections.
    """
    if not file.adapters:
        return ""
    names = {_name_in_store(folder, file) for folder in adapters}
    if len(names) > 1:
        raise DlmError(
            f"the adapters {', '.join(sorted(names))} were trained on different sections. Write one spec for "
            "each adapter"
        )
    return next(iter(names), file.adapters[0])


def _name_in_store(folder: Path, file: DlmFile) -> str:
    version = version_of(folder)
    if version is None or version.store.name != file.dlm_id or version.adapter not in file.adapters:
        raise DlmError(
            f"cannot tell which sections the adapter was trained on: the file declares the adapters "
            f"{', '.join(file.adapters)}, but the folder {folder} does not show which of them it contains. "
            "Use the adapter's folder in the dlm store (adapter/NAME/versions/v0001), or remove dlm_source "
            "and write the sections under the key sections"
        )
    return version.adapter
