"""Which adapter folders a spec or the command line names: one, several, or a pattern's matches."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pytest_sway.spec.adapter_patterns import LeftOut, Match, Wrong, matches, sort_out
from pytest_sway.spec.identical_adapters import identical_adapters
from pytest_sway.text.message_parts import shorten_list


class FolderNote(NamedTuple):
    """What is to be said of an adapter folder that is evaluated."""

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
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[FolderNote, ...] = ()


def adapter_folders(names: Sequence[str], roots: Sequence[Path], wrong: Wrong | None = None) -> NamedAdapters:
    """The folders that ``names`` mean.

    A name is a folder below the first of ``roots`` that has it; one that is no folder and holds ``*``, ``?``
    or ``[`` stands for the adapter folders that it matches, ``checkpoint-9`` before ``checkpoint-10``.

    Args:
        names: folders or patterns.
        roots: where relative ones begin.
        wrong: why an adapter folder cannot be evaluated; a pattern's match with such a reason is left out.
    """
    reached: dict[Path, list[Match]] = {}
    unmatched: dict[str, str] = {}
    left: dict[Path, LeftOut] = {}
    for name in names:
        single = _below(name, roots)
        adapters, others = [Match(single, name)], list[LeftOut]()
        if glob.has_magic(name) and not os.path.exists(single):  # noqa: PTH110 - raises for no name
            adapters, others = _matched(name, roots, wrong)
        for match in adapters:
            reached.setdefault(_resolved(match.path), []).append(match)
        left |= {one.path: one for one in others}
        if not adapters:
            unmatched[name] = _instead(others)
    folders = {folder: _written(ways) for folder, ways in reached.items()}
    left_out = tuple(one for one in left.values() if _resolved(one.path) not in folders)
    notes = [note for folder, ways in reached.items() for note in _linked(folder, ways)]
    return NamedAdapters(folders, unmatched, left_out, tuple(notes))


def once(named: NamedAdapters) -> NamedAdapters:
    """Without the folders in which every file is that of an earlier one; ``notes`` name them.

    Folders that hold the same adapter beside other files (a tokenizer, an optimizer's state) stay: some
    probes read these. The files of the adapters are read, so every folder must hold a complete one.
    """
    folders, notes = dict(named.folders), list(named.notes)
    for first, second, whole in identical_adapters(named.folders):
        one, other = named.folders[first], named.folders[second]
        if whole:
            del folders[second]
            notes.append(
                FolderNote(first, f"{other} holds the same files as {one}: evaluated once, as {one}")
            )
        else:
            notes += [
                FolderNote(first, f"{other} holds the same adapter beside other files"),
                FolderNote(second, f"{one} holds the same adapter beside other files"),
            ]
    return replace(named, folders=folders, notes=tuple(notes))


def located(name: str, roots: Sequence[Path]) -> Path:
    """A path below the first root where it exists; below the last where it exists in none."""
    return _resolved(_below(name, roots))


def _below(name: str, roots: Sequence[Path]) -> Path:
    """The same with links as they are."""
    try:
        path = Path(name).expanduser()
        places = [root / path for root in roots]
        return next((place for place in places if place.exists()), places[-1]).absolute()
    except (OSError, RuntimeError, ValueError):  # an unknown home, a name too long, a zero byte
        return Path(name.replace("\0", "�"))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name too long
        return path


def _matched(name: str, roots: Sequence[Path], wrong: Wrong | None) -> tuple[list[Match], list[LeftOut]]:
    """The matches below the first root that has an adapter among them; else below the first that has any."""
    found = [sort_out(matches(name, root), wrong) for root in roots]
    with_adapters = [one for one in found if one[0]]
    return next(iter(with_adapters or [one for one in found if one[1]]), ([], []))


def _instead(others: Sequence[LeftOut]) -> str:
    """What a pattern matches where it matches no adapter."""
    if not others:
        return ""
    first = max(others, key=lambda one: one.is_candidate)  # the first of these, else the first of all
    more = f" ({len(others) - 1} more are no adapters either)" if len(others) > 1 else ""
    return f": it matches {first.shown}, not evaluated: {first.reason}{more}"


def _is_link(way: Match) -> bool:
    """Whether the last part of a path is a link."""
    return _resolved(way.path.parent) / way.path.name != _resolved(way.path)


def _written(ways: Sequence[Match]) -> str:
    """A folder as it was written, by its own name where it was named so."""
    return min(ways, key=_is_link).shown


def _linked(folder: Path, ways: Sequence[Match]) -> list[FolderNote]:
    """That a folder was named in several ways, of which at least one is a link."""
    links = list(dict.fromkeys(way.shown for way in ways if _is_link(way)))
    if not links or len({os.path.normpath(way.path) for way in ways}) < 2:
        return []
    verb = "is a link" if len(links) == 1 else "are links"
    written = next((way.shown for way in ways if not _is_link(way)), str(folder))
    return [FolderNote(folder, f"{shorten_list(links)} {verb} to {written}: evaluated once")]
