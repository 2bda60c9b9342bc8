"""The suite that the relations are tried on, and what may be done to it without changing what it says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pytest_sway.probes.base import QUICK_ITEMS
from tests.known_adapters.battery import FIRST, read, spec
from tests.support.paths import QUICKSTART

Entry = dict[str, Any]


class Subject(NamedTuple):
    """An adapter and its base: their folders."""

    base: Path
    adapter: Path


TOY = Subject(QUICKSTART / "base", QUICKSTART / "adapters/healthy")

ITEMS: Mapping[str, str] = {
    "delta_kl": "prompts",
    "adapter_ablation": "prompts",
    "paraphrase_invariance": "cases",
    "preference_flip": "triples",
}
"""Kinds of the quick suite whose items stand in the spec, and the option that holds them."""
NO_HARM = ("calibration_drift", "external_perplexity", "leakage")
MEASURED = (*ITEMS, "section_internalization", *NO_HARM)
"""What the quick suite measures of an adapter without a training folder."""


def quick_suite(kinds: Sequence[str] = MEASURED, base: Path = TOY.base) -> dict[str, Any]:
    """The battery's quick part with 8 null adapters; its probes are named after their kinds.

    ``delta_kl`` looks at 8 positions: at the 4 of ``quick``, its z lies beside the 3 that decide.
    """
    whole = spec(FIRST, base, runs=8, profile="quick")
    whole["suite"] = [one for one in whole["suite"] if one["kind"] in (*kinds, "null_adapter")]
    for one in whole["suite"]:
        if one["kind"] == "delta_kl":
            one["positions"] = 8
    return whole


def entry(whole: Mapping[str, Any], kind: str) -> Entry:
    """The suite's probe of a kind."""
    return next(dict(one) for one in whole["suite"] if one["kind"] == kind)


def with_copies(whole: Mapping[str, Any], copies: Sequence[Entry]) -> dict[str, Any]:
    """The suite with further probes."""
    return {**whole, "suite": [*whole["suite"], *copies]}


def permuted(one: Entry, seed: int) -> Entry:
    """The probe with the items that the profile looks at in another order, named so."""
    items = list(one[ITEMS[one["kind"]]][:QUICK_ITEMS])
    random.Random(seed).shuffle(items)
    return {**one, "name": f"{one['kind']} permuted", ITEMS[one["kind"]]: items}


def halved(one: Entry) -> Entry:
    """The probe with half of the items that the profile looks at, named so."""
    items = one[ITEMS[one["kind"]]][: QUICK_ITEMS // 2]
    return {**one, "name": f"{one['kind']} halved", ITEMS[one["kind"]]: items}


def repeated(one: Entry) -> Entry:
    """The same half, each item given twice, named so."""
    items = [item for item in halved(one)[ITEMS[one["kind"]]] for _ in range(2)]
    return {**one, "name": f"{one['kind']} repeated", ITEMS[one["kind"]]: items}


def copied(one: Entry) -> Entry:
    """The probe under another name."""
    return {**one, "name": f"{one['kind']} copied"}


def renamed_sections(folder: Path) -> str:
    """The document with another id for each section, in another script: a file in the folder."""
    sections = read(QUICKSTART / "sections.yaml")
    target = folder / "renamed.yaml"
    target.write_text(
        yaml.safe_dump([{**one, "id": f"раздел-{at}"} for at, one in enumerate(sections)]), "utf-8"
    )
    return str(target)
