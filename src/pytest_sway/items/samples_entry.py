"""The entry that ``--sway-samples`` adds to a suite: answers to the suite's own questions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_sway.document import Document
from pytest_sway.items.suite_entries import SuiteEntry
from pytest_sway.probes.samples import SampleCase, Samples, SamplesOptions
from pytest_sway.probes.shared.item_options import PromptOptions
from pytest_sway.probes.shared.question_case import QuestionCase
from pytest_sway.spec.yaml_source import Source

_NAME = "samples"


def with_samples(
    entries: Sequence[SuiteEntry], document: Document, source: Source, count: int | None
) -> list[SuiteEntry]:
    """The entries with ``count`` samples: of the suite's own entry of that kind, else of one that is added.

    Args:
        entries: of the suite.
        document: of the spec; its questions are asked before those of the entries.
        source: of the spec, for the place of the entry.
        count: None: nothing is added or changed.
    """
    if count is None:
        return list(entries)
    if any(isinstance(entry.probe, Samples) for entry in entries):
        return [_with_count(entry, count) for entry in entries]
    has_questions = any(section.probes or section.preferences for section in document.sections)
    cases = [] if has_questions else list(_cases_of(entries))
    names = {entry.probe.name for entry in entries}
    name = next(name for number in range(1, len(names) + 2) if (name := _numbered(number)) not in names)
    probe = Samples(SamplesOptions(name=name, kind=Samples.kind, cases=cases, count=count))
    line, _ = source.locate(("suite",))
    return [*entries, SuiteEntry(name, probe, f"{source.path.name}:{line}", line, len(entries))]


def _with_count(entry: SuiteEntry, count: int) -> SuiteEntry:
    if not isinstance(entry.probe, Samples):
        return entry
    return replace(entry, probe=Samples(entry.probe.options.model_copy(update={"count": count})))


def _numbered(number: int) -> str:
    return _NAME if number == 1 else f"{_NAME}-{number}"


def _cases_of(entries: Sequence[SuiteEntry]) -> Iterator[SampleCase]:
    """The questions of cases with their golds; where there are none, the prompts of all entries."""
    options = [entry.probe.options for entry in entries]
    asked = {
        (case.prompt, case.gold): SampleCase(prompt=case.prompt, gold=case.gold, context=case.context)
        for one in options
        for case in getattr(one, "cases", ())
        if isinstance(case, QuestionCase)
    }
    if asked:
        yield from asked.values()
        return
    prompts = (prompt for one in options if isinstance(one, PromptOptions) for prompt in one.prompts)
    yield from (SampleCase(prompt=prompt) for prompt in dict.fromkeys(prompts) if prompt.strip())
