"""Several changes at once, chosen by hypothesis: of the suite, of the adapter's form, of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.known_adapters.evaluation import Report
from tests.known_adapters.real_model import __main__ as real_model
from tests.known_adapters.real_model.base import PACKAGES, skip_unless_installed

from .adapter_variants import padded, rescaled
from .comparing import (
    OF_SMOLLM2,
    OF_TOY,
    Rounding,
    assert_same,
    assert_same_beside_other_nulls,
    outcome,
)
from .running import WITHOUT_AVX, run_suite
from .suite import ITEMS, MEASURED, TOY, Subject, copied, entry, permuted, quick_suite, renamed_sections

pytestmark = pytest.mark.nightly


class Combination(NamedTuple):
    """What is changed at once.

    Attributes:
        kinds: that the suite still has.
        order: seed of the items' order.
        copies: every probe once more, under another name.
        section_names: the document's sections have other names.
        form: of the adapter.
        exact: every text is scored by itself.
        little_memory: small batches.
        threads: of torch.
        setting: environment variables.
    """

    kinds: frozenset[str]
    order: int
    copies: bool
    section_names: bool
    form: str
    exact: bool
    little_memory: bool
    threads: int
    setting: Mapping[str, str]


COMBINATIONS = st.builds(
    Combination,
    kinds=st.frozensets(st.sampled_from(MEASURED), min_size=1),
    order=st.integers(0, 99),
    copies=st.booleans(),
    section_names=st.booleans(),
    form=st.sampled_from(["plain", "rescaled", "padded"]),
    exact=st.booleans(),
    little_memory=st.booleans(),
    threads=st.sampled_from([1, 2]),
    setting=st.sampled_from([{}, WITHOUT_AVX]),
)


class Relation:
    """Compares the suite after a combination of changes with the suite as it is."""

    def __init__(self, subject: Subject, folder: Path, little_memory: str, rounding: Rounding) -> None:
        """Evaluate the suite as it is.

        Args:
            subject: the adapter.
            folder: a new one, for everything that is written.
            little_memory: the least that the model can do with.
            rounding: of the model's arithmetic.
        """
        folder.mkdir()
        self._base, self._folder, self._tried = subject.base, folder, 0
        self._little_memory = f"--sway-memory={little_memory}"
        self._rounding = rounding
        self._forms = {
            "plain": subject.adapter,
            "rescaled": rescaled(folder / "rescaled", subject),
            "padded": padded(folder / "padded", subject),
        }
        self._plain = self._report(quick_suite(base=subject.base), "plain")

    def check(self, change: Combination) -> None:
        """Every probe's outcome is what it was."""
        whole = quick_suite([kind for kind in MEASURED if kind in change.kinds], self._base)
        listed = [permuted(one, change.order) if one["kind"] in ITEMS else one for one in whole["suite"]]
        whole["suite"] = [{**one, "name": one["kind"]} for one in listed]
        if change.copies:
            whole["suite"] += [copied(entry(whole, kind)) for kind in change.kinds]
        if change.section_names:
            whole["sections"] = renamed_sections(self._folder)
        options = ["--sway-exact"] * change.exact + [self._little_memory] * change.little_memory
        report = self._report(whole, change.form, *options, threads=change.threads, setting=change.setting)
        same = assert_same if change.form == "plain" else assert_same_beside_other_nulls
        for kind in change.kinds:
            for name in [kind, f"{kind} copied"] if change.copies else [kind]:
                same(outcome(report, name), outcome(self._plain, kind), self._rounding)

    def _report(self, whole: dict[str, Any], form: str, *options: str, **machine: Any) -> Report:
        whole["models"]["ft"]["adapter"] = str(self._forms[form])
        self._tried += 1
        return run_suite(whole, self._folder / f"run-{self._tried}", *options, **machine)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Relation:
    return Relation(TOY, tmp_path_factory.mktemp("toy") / "relation", "600MB", OF_TOY)


@settings(max_examples=25)
@given(change=COMBINATIONS)
def test_combinations_on_the_toy(toy: Relation, change: Combination) -> None:
    toy.check(change)


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Relation:
    """On SmolLM2, the adapter of the real-model set that is the cheapest to train."""
    skip_unless_installed(*PACKAGES)
    folder = tmp_path_factory.mktemp("smollm2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["make", str(folder), "--only", "style_only"])
        real_model.main()
    return Relation(Subject(folder / "base", folder / "style_only"), folder / "relation", "2GB", OF_SMOLLM2)


@settings(max_examples=4)
@given(change=COMBINATIONS)
def test_combinations_on_a_real_model(smollm2: Relation, change: Combination) -> None:
    smollm2.check(change)
