"""The suite's `null_adapter`: one population for all probes, whatever was selected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sway.backends.null_population import OWN, NullPlan
from pytest_sway.items.suite_entries import SuiteEntry
from pytest_sway.probes.null_adapter import DEFAULT_RUNS, FEWEST_RUNS, NullAdapter, NullAdapterOptions
from pytest_sway.spec.adapter_file_checks import why_not_served
from pytest_sway.spec.adapter_folders import why_no_adapter
from pytest_sway.spec.named_adapters import find_named_adapters
from pytest_sway.spec.problems import Problem
from pytest_sway.spec.schema import Defaults
from pytest_sway.spec.yaml_source import Source


@dataclass(frozen=True)
class NullAdapterEntry:
    """What a spec says of its null adapters.

    Attributes:
        options: None where the suite has no enabled ``null_adapter``.
        own: folders of the user's own null adapters.
        problems: what is wrong with the entry.
        notes: what is done otherwise than the spec may expect.
    """

    options: NullAdapterOptions | None = None
    own: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    def plan(self, defaults: Defaults) -> NullPlan | None:
        """The population; ``defaults.seed`` changes all of its random adapters."""
        if self.options is None:
            return None
        options = self.options.for_profile(defaults.profile)
        measures_all = options.exact_runs or defaults.profile == "thorough"
        return NullPlan(
            family=options.family,
            runs=len(self.own) or options.effective_runs,
            seed_base=options.seed_base + defaults.seed,
            init_scale=options.init_scale,
            kinds=tuple(options.calibrate_kinds),
            cache=options.cache,
            ranks=tuple(options.rank_multipliers),
            adapters=tuple(map(str, self.own)),
            first=None if measures_all else FEWEST_RUNS,
        )


def read_null_entry(
    source: Source, entries: Sequence[SuiteEntry], *, check_files: bool = False
) -> NullAdapterEntry:
    """The one ``null_adapter`` of a suite that is enabled.

    ``check_files``: whether the files of the user's own null adapters are looked at (kind ``hf``).
    """
    nulls = [e for e in entries if isinstance(e.probe, NullAdapter) and e.enabled]
    if not nulls:
        return NullAdapterEntry()
    entry, *others = nulls
    problems = [
        Problem(
            f"a suite can have only one probe of kind null_adapter, but {e.probe.name!r} is a second one; "
            "remove one of them",
            e.line,
            1,
        )
        for e in others
    ]
    options: NullAdapterOptions = entry.probe.options
    own, wrong, left_out = _own_adapters(source, entry, options, check_files=check_files)
    notes = [*left_out, *_runs_notes(source, entry, options, len(own)), *_order_notes(entries, entry)]
    return NullAdapterEntry(options, tuple(own), (*problems, *wrong), tuple(notes))


def _own_adapters(
    source: Source, entry: SuiteEntry, options: NullAdapterOptions, *, check_files: bool
) -> tuple[list[Path], list[Problem], list[Problem]]:
    """The folders of the user's own null adapters, what is wrong with them, and what a pattern leaves out."""
    named = find_named_adapters(options.adapters, source.roots)
    found = named.folders
    wrong = [f"no adapter folder matches {pattern!r}{why}" for pattern, why in named.unmatched.items()]
    wrong += [
        f"there is no adapter folder {name!r}{why}"
        for folder, name in found.items()
        if (why := why_no_adapter(folder)) is not None
    ]
    if check_files and not wrong:
        wrong = [fault for folder in found if (fault := why_not_served(folder)) is not None]
    if options.family == OWN and not wrong and len(found) < 2:
        wrong = ["one adapter is not enough; list at least two (8 or more for a reliable 3σ threshold)"]
    left_out = [
        f"{one.name} is not used as a null adapter: {one.reason}"
        for one in named.left_out
        if one.is_candidate
    ]

    def problems(texts: Sequence[str]) -> list[Problem]:
        place = source.locate(("suite", entry.index, "adapters"))
        return [Problem(f"suite[{entry.index}].adapters: {text}", *place) for text in texts]

    return list(found), problems(wrong), problems(left_out)


def _runs_notes(source: Source, entry: SuiteEntry, options: NullAdapterOptions, own: int) -> list[Problem]:
    """How many null adapters there are, where the spec may expect another number."""
    name = entry.probe.name
    if options.family == OWN:
        few = f"{name} lists {own} null adapters, but a reliable 3σ threshold needs at least {FEWEST_RUNS}"
        return [Problem(few, *source.locate(("suite", entry.index, "adapters")))] if own < FEWEST_RUNS else []
    if options.effective_runs == options.runs:
        return []
    message = (
        f"{name}: runs is raised from {options.runs} to {DEFAULT_RUNS}, because a reliable 3σ threshold "
        f"needs at least {FEWEST_RUNS} random (null) adapters; to keep runs: {options.runs}, set "
        "exact_runs: true"
    )
    return [Problem(message, *source.locate(("suite", entry.index, "runs")))]


def _order_notes(entries: Sequence[SuiteEntry], entry: SuiteEntry) -> list[Problem]:
    before = [e.probe.name for e in entries[: entries.index(entry)] if e.probe.scale is not None]
    if not before:
        return []
    message = (
        f"{entry.probe.name} comes after {', '.join(before)} in the suite. The order does not matter here, "
        f"but dlm-sway compares only the probes after {entry.probe.name} with random adapters; if you also "
        "use dlm-sway, move this entry to the top"
    )
    return [Problem(message, entry.line, 1)]
