"""Which adapter folders a spec or the command line names: one, several, or a pattern's matches."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pytest_sway.spec.adapter_file_checks import why_not_served
from pytest_sway.spec.adapter_globs import ExcludedMatch, FolderCheck, GlobMatch, find_matches, split_matches
from pytest_sway.spec.identical_adapters import identical_adapters
from pytest_sway.spec.model_kinds import FILE_KINDS
from pytest_sway.spec.path_lookup import follow_links, join_path
from pytest_sway.text.message_parts import shorten_list


class FolderNote(NamedTuple):
    """A note for the reports on an adapter folder that is evaluated."""

    folder: Path
    text: str


@dataclass(frozen=True)
class NamedAdapters:
    """What names and patterns stand for.

    Attributes:
        folders: the folders to evaluate, each as the user wrote it; what was named without a pattern is among
            them whether it is an adapter or not.
        unmatched: patterns that match no adapter, each with what it matches instead, as the end of a message.
        left_out: matches of patterns that are not evaluated.
        notes: which other folders are the same and so are evaluated with one of ``folders``.
    """

    folders: dict[Path, str]
    unmatched: dict[str, str]
    left_out: tuple[ExcludedMatch, ...] = ()
    notes: tuple[FolderNote, ...] = ()


def find_named_adapters(
    names: Sequence[str], roots: Sequence[Path], check: FolderCheck | None = None
) -> NamedAdapters:
    """The folders that ``names`` mean.

    A name is a folder below the first of ``roots`` that has it; one that is no folder and holds ``*``, ``?``
    or ``[`` stands for the adapter folders that it matches, ``checkpoint-9`` before ``checkpoint-10``.

    Args:
        names: folders or patterns.
        roots: where relative ones begin.
        check: why an adapter folder cannot be evaluated; a pattern's match with such a reason is left out.
    """
    reached: dict[Path, list[GlobMatch]] = {}
    unmatched: dict[str, str] = {}
    left: dict[Path, ExcludedMatch] = {}
    for name in names:
        single = join_path(name, roots)
        adapters, others = [GlobMatch(single, name)], list[ExcludedMatch]()
        if glob.has_magic(name) and not os.path.exists(single):  # noqa: PTH110 - raises for no name
            adapters, others = _matches_below_roots(name, roots, check)
        for match in adapters:
            reached.setdefault(follow_links(match.path), []).append(match)
        left |= {one.path: one for one in others}
        if not adapters:
            unmatched[name] = _other_matches(others)
    folders = {folder: _name_of(ways) for folder, ways in reached.items()}
    left_out = tuple(one for one in left.values() if follow_links(one.path) not in folders)
    notes = [note for folder, ways in reached.items() for note in _link_notes(folder, ways)]
    return NamedAdapters(folders, unmatched, left_out, tuple(notes))


def find_adapters_of_kind(kind: str, names: Sequence[str], roots: Sequence[Path]) -> NamedAdapters:
    """The same, with checks of the adapters' files for kinds that read them."""
    return find_named_adapters(names, roots, why_not_served if kind in FILE_KINDS else None)


def without_duplicates(named: NamedAdapters) -> NamedAdapters:
    """Remove the folders whose files all equal those of an earlier one; ``notes`` name them.

    Folders that hold the same adapter beside other files (a tokenizer, an optimizer's state) stay: some
    probes read these. The files of the adapters are read, so every folder must hold a complete one.
    """
    folders, notes = dict(named.folders), list(named.notes)
    for first, second, every_file in identical_adapters(named.folders):
        one, other = named.folders[first], named.folders[second]
        if every_file:
            del folders[second]
            notes.append(
                FolderNote(
                    first,
                    f"{other} contains the same files as {one}; the adapter is evaluated once, as {one}",
                )
            )
        else:
            why = "both are evaluated, because other files differ"
            notes += [
                FolderNote(first, f"{other} contains the same adapter; {why}"),
                FolderNote(second, f"{one} contains the same adapter; {why}"),
            ]
    return replace(named, folders=folders, notes=tuple(notes))


def _matches_below_roots(
    name: str, roots: Sequence[Path], check: FolderCheck | None
) -> tuple[list[GlobMatch], list[ExcludedMatch]]:
    """The matches below the first root that has an adapter among them; else below the first that has any."""
    per_root = [split_matches(find_matches(name, root), check) for root in roots]
    with_adapters = [one for one in per_root if one[0]]
    return next(iter(with_adapters or [one for one in per_root if one[1]]), ([], []))


def _other_matches(others: Sequence[ExcludedMatch]) -> str:
    """What a pattern matches instead of adapters, as the end of a message."""
    if not others:
        return ""
    first = max(others, key=lambda one: one.is_candidate)  # the first of these, else the first of all
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f": it matches {first.name}{more}, but nothing that can be evaluated. {first.name}: {first.reason}"


def _is_link(way: GlobMatch) -> bool:
    """Whether the last part of a path is a link."""
    return follow_links(way.path.parent) / way.path.name != follow_links(way.path)


def _name_of(ways: Sequence[GlobMatch]) -> str:
    """A folder as the user wrote it; its own path comes before a link's."""
    return min(ways, key=_is_link).name


def _link_notes(folder: Path, ways: Sequence[GlobMatch]) -> list[FolderNote]:
    """A note on a folder that was named several times, at least once through a link."""
    links = list(dict.fromkeys(way.name for way in ways if _is_link(way)))
    if not links or len({os.path.normpath(way.path) for way in ways}) < 2:
        return []
    verb = "is a link" if len(links) == 1 else "are links"
    written = next((way.name for way in ways if not _is_link(way)), str(folder))
    return [FolderNote(folder, f"{shorten_list(links)} {verb} to {written}; the adapter is evaluated once")]
