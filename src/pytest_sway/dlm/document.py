"""A ``.dlm`` file as the document that probes read: sections that an adapter was trained on, and controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.fields import read_pairs, read_triples
from pytest_sway.dlm.installed import IncompatibleDlm, installed_version, source_sections
from pytest_sway.dlm.records import MEDIA, DlmFile, DlmSection
from pytest_sway.document import Control, Document, Section

MOST_SOURCES = 24
"""Files of ``training.sources`` that are sections: each is scored as a whole."""


@dataclass(frozen=True)
class DlmDocument:
    """The document, and what of the file is not in it.

    Attributes:
        document: sections, and as controls the sections that other adapters were trained on.
        notes: what was left out, a sentence each.
    """

    document: Document
    notes: tuple[str, ...]


def document_of(file: DlmFile, adapter: str = "") -> DlmDocument:
    """The document of one of the file's adapters.

    dlm trains every adapter on prose without a ``#name``, the first adapter on other sections without one,
    and a named adapter on the sections that name it.

    Args:
        file: as it was read.
        adapter: its name, in a document with several; empty: the first.

    Raises:
        DlmError: a section cannot be read, or names an adapter that the front matter does not declare.
    """
    name = adapter or (file.adapters[0] if file.adapters else "")
    sources, notes = _sources(file)
    is_taught = [_is_trained(one, name, file.adapters) for one in file.sections]
    taught = [one for one, mine in zip(file.sections, is_taught, strict=True) if mine] + sources
    others = [
        one for one, mine in zip(file.sections, is_taught, strict=True) if not mine and one.type not in MEDIA
    ]
    sections, repeated = _distinct([_section(one) for one in taught if one.type not in MEDIA])
    if media := sum(one.type in MEDIA for one in taught):
        notes.append(
            f"{media} image or audio sections are skipped, including their transcripts, because only text "
            "sections are scored"
        )
    if repeated:
        notes.append(f"{repeated} sections repeat the text of an earlier section; each text is scored once")
    contents = {_text(section) for section in sections}
    controls = [Control(one.id, _text(one)) for one in _distinct(map(_section, others))[0]]
    return DlmDocument(
        Document(tuple(sections), tuple(one for one in controls if one.content not in contents)), tuple(notes)
    )


def _is_trained(section: DlmSection, name: str, declared: Sequence[str]) -> bool:
    """Whether an adapter was trained on a section."""
    if section.adapter and section.adapter not in declared:
        known = f"declared adapters: {', '.join(declared)}" if declared else "no adapters are declared"
        raise DlmError(
            f"the adapter #{section.adapter} is not in training.adapters of the front matter; {known}",
            section.line,
        )
    if section.adapter or not declared:
        return section.adapter in ("", name)
    return section.type == "prose" or name == declared[0]


def _section(one: DlmSection) -> Section:
    if one.type == "instruction":
        return Section(one.id, "instruction", probes=tuple(dict.fromkeys(read_pairs(one))), tags=one.tags)
    if one.type == "preference":
        triples = tuple(dict.fromkeys(read_triples(one)))
        return Section(one.id, "preference", preferences=triples, tags=one.tags)
    return Section(one.id, "prose", one.content.strip(), tags=one.tags)


def _distinct(sections: Iterator[Section] | Sequence[Section]) -> tuple[list[Section], int]:
    """Each content once, and how many repeat one."""
    found: dict[tuple[str, str], Section] = {}
    count = 0
    for section in sections:
        count += 1
        found.setdefault((section.kind, " ".join(_text(section).split())), section)
    return list(found.values()), count - len(found)


def _text(section: Section) -> str:
    """What it teaches, as one text."""
    parts = [section.content] if section.content else []
    parts += [f"{qa.prompt}\n\n{qa.gold}" for qa in section.probes]
    parts += [f"{triple.prompt}\n\n{triple.chosen}" for triple in section.preferences]
    return "\n\n".join(parts)


def _sources(file: DlmFile) -> tuple[list[DlmSection], list[str]]:
    """Sections of the files of ``training.sources``, which dlm itself collects."""
    if not file.sources:
        return [], []
    named = f"training.sources ({', '.join(file.sources)})"
    if installed_version() is None:
        why = "because dlm is not installed (pip install document-language-model)"
        return [], [f"{named} is not read {why}"]
    try:
        found, media = source_sections(file.path)
    except IncompatibleDlm as error:
        return [], [f"{named} is not read: {error}"]
    texts = [one for one in found if one.content.strip()]
    notes = []
    if len(texts) > MOST_SOURCES:
        notes.append(
            f"only {MOST_SOURCES} of {len(texts)} files of {named} are used, because the whole text of each "
            "is scored, which takes time"
        )
        kept = set(sorted(one.id for one in texts)[:MOST_SOURCES])  # ids are hashes: a sample
        texts = [one for one in texts if one.id in kept]
    if media:
        notes.append(f"{media} image or audio files of {named} are skipped, because only text is scored")
    return texts, notes
