"""What a sound adapter keeps of its lift under each form of a question, and under sentences around it.

    python benchmarks/mining/wording_shares.py

Per form: the lift of the answer after it ÷ the lift after the trained question, mean and smallest over the
questions. The forms with a sentence before or behind the question are those that `sway mine` leaves out.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from statistics import fmean

import yaml

from pytest_sway.backends.base import AdapterKey, ModelKey
from pytest_sway.backends.hf.load_backend import load_backend
from pytest_sway.engine.drive import drive
from pytest_sway.engine.engine import Engine
from pytest_sway.mining.paraphrases import CandidateLifts
from pytest_sway.mining.question_forms import question_forms
from pytest_sway.mining.synonym_swaps import synonym_swaps
from pytest_sway.probes.base import ProbeContext
from pytest_sway.probes.paraphrase_invariance import ParaphraseCase, ParaphraseInvarianceOptions
from pytest_sway.requests import Views

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART, KNOWN = ROOT / "examples" / "quickstart", ROOT / "tests" / "known_adapters"
ADAPTERS = (
    (QUICKSTART, QUICKSTART / "adapters" / "healthy"),
    (KNOWN / "second", KNOWN / "adapters" / "style_only"),
    (QUICKSTART, KNOWN / "adapters" / "memoriser"),
)
SENTENCES = (
    "Please tell me this: {}",
    "Good morning. {} Thank you.",
    "I would like to know something. {}",
    "Do you know this? {}",
    "A visitor asks: {}",
    "{} Please answer.",
)


def wordings(row: Mapping[str, object]) -> dict[str, str]:
    """Every wording of a question with the name of its form."""
    question = str(row["question"])
    held_out = row["held_out"]
    assert isinstance(held_out, list)
    found = {text: f"held out {number}" for number, text in enumerate(held_out, 1)}
    found |= {sentence.format(question): sentence for sentence in SENTENCES}
    found |= dict.fromkeys(question_forms(question), "question forms")
    found |= dict.fromkeys(synonym_swaps(question), "synonyms")
    found.pop(question, None)
    return found


def _show(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    backend = load_backend(ModelKey("hf", str(QUICKSTART / "base")), datetime.now().astimezone())
    engine = Engine(backend)
    for document, adapter in ADAPTERS:
        subject = backend.attach(AdapterKey(str(adapter)))
        sections = yaml.safe_load((document / "questions.yaml").read_text("utf-8"))
        rows = [row for section in sections.values() for row in section]
        cases = [
            ParaphraseCase(prompt=row["question"], gold=row["answer"], paraphrases=tuple(wordings(row)))
            for row in rows
        ]
        probe = CandidateLifts(ParaphraseInvarianceOptions(name="shares", cases=cases))
        probe = probe.with_context(ProbeContext(capabilities=backend.capabilities))
        (found,) = drive([probe.measure(Views(subject.base, subject.tuned, subject.tuned))], engine.answer)
        if isinstance(found, Exception):
            sys.exit(str(found))
        shares: dict[str, list[float]] = defaultdict(list)
        for row, (verbatim, *lifts) in zip(rows, found.evidence["lifts"], strict=True):
            for form, lift in zip(wordings(row).values(), lifts, strict=True):
                shares[form].append(lift / verbatim)
        _show(f"\n{adapter.name}, {document.name}: share of the lift that is kept")
        for form, values in sorted(shares.items(), key=lambda one: fmean(one[1])):
            _show(f"  {form:38} mean {fmean(values):.2f}  least {min(values):.2f}  n {len(values)}")
        backend.detach(subject)


if __name__ == "__main__":
    main()
