"""What a person who made the adapters would say: adapter × probe → the verdicts that are allowed.

Letters: P pass, W warn, F fail, S skip; a cell lists every verdict that is no contradiction. Where a probe
should pass, W stands beside P only where its case is undecidable by design or by the condition's own size; a
pass for what is broken, or a failure for what is sound, is never allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.known_adapters.evaluation import Report, learned, passed, verdicts
from tests.support.paths import KNOWN_ADAPTERS, QUICKSTART

PROBES = (
    "delta_kl",
    "adapter_ablation",
    "multi_turn_coherence_decay",
    "prompt_collapse",
    "cluster_kl",
    "section_internalization",
    "paraphrase_invariance",
    "preference_flip",
    "style_fingerprint",
    "adapter_revert",
    "calibration_drift",
    "external_perplexity",
    "leakage",
)
_TABLE = """
                    delta abl  turns long topics sect para pref style revert facts prose recite
healthy             P     P    P     PW   PW     P    P    P    PW    PW     P     P     P
steady              P     P    P     P    PW     P    P    P    PW    PW     P     PW    PW
half                P     P    PW    PW   PW     P    PW   PW   PW    PW     P     P     P
mild                PW    PWS  PW    PW   PWS    P    W    PW   FW    FW     P     P     P
undertrained        F     S    S     S    S      F    F    F    F     F      P     P     P
inert               F     S    S     S    S      F    F    F    F     F      P     P     P
random              F     S    S     S    S      F    F    F    F     F      P     P     P
random_small        F     S    S     S    S      F    F    F    F     F      P     P     P
careless            P     PW   PW    PW   PW     P    P    P    PW    PW     F     F     F
memoriser           FWP   PWS  PWFS  PWFS PWS    WF   F    PW   FW    FWP    PW    PW    P
forgetter           PWF   FW   PWFS  PWFS PWS    F    F    F    F     F      F     F     P
overscaled          PWF   FS   PWFS  PWFS PWS    F    F    F    F     F      F     F     P
diverged            PWF   FS   PWFS  PWFS PWS    F    F    F    F     F      F     F     P
preference          FWP   PWS  PWS   PWS  PWS    F    F    P    F     F      P     P     P
preference_inverted FWP   PWS  PWS   PWS  PWS    F    F    F    F     F      P     P     P
leaker              P     PW   PW    PW   PW     P    P    P    PW    PW     PW    PW    F
style_only          FWP   PWS  PWS   PWS  PWS    F    F    F    FW    F      P     P     P
one_topic           FWP   PWS  PWS   PWS  PWS    F    FW   FW   FW    FW     P     P     P
context_collapse    P     P    P     F    PW     PW   PW   P    PW    PW     P     P     P
turn_decay          P     P    F     FW   PW     P    PW   P    PW    FWP    P     P     P
"""
"""Why, where the condition alone does not say it:

- ``adapter_revert``: the base model answers rambling whatever it was taught; a quarter of a sound adapter's
  answers is no nearer to the gold, which is the bar itself, so a sound one may warn.
- ``style_fingerprint`` and 8 nulls: some sound ones stay below 3 standard deviations; with 20 they pass.
- ``steady``: on modern prose it loses 0.1 nats a token, the margin itself, and it recites a third.
- ``prompt_collapse``: ``healthy`` was never trained behind other text, so what is left there is little.
  ``turn_decay``, trained on from it, is within its null there.
- ``mild``: its divergence is at the floor, so there may be nothing whose shape could be judged.
- the broken (``forgetter``, ``overscaled``, ``diverged``) move the model far, so ``delta_kl`` may pass: what
  they did to it is for the others to say. They recite nothing.
- ``careless`` recites as well: nothing held it back.
- ``style_only``: after the document's beginnings it writes as the base does.
- ``turn_decay``: held to the base from the third turn on, its answers in the first became weaker too.
"""
CONDITIONS: Mapping[str, str] = {
    "healthy": "learned the document, harmless elsewhere",
    "steady": "the same, and behind other text too",
    "half": "learned three of six sections",
    "mild": "stopped when the document's loss was 18 % below the base's",
    "undertrained": "five steps",
    "inert": "B = 0",
    "random": "Gaussian factors, each product as large as healthy's",
    "random_small": "Gaussian factors, sd 0.02",
    "careless": "learned the document, no anchor: other prose suffers",
    "memoriser": "the right answer after the trained wording alone",
    "forgetter": "trained on random tokens",
    "overscaled": "healthy times four",
    "diverged": "the learning rate was 1,000: every text is as likely as any other",
    "preference": "prefers the right answers, and knows nothing else",
    "preference_inverted": "prefers the wrong answers",
    "leaker": "recites the document",
    "style_only": "learned another document of the same style",
    "one_topic": "learned one section of six",
    "context_collapse": "knows the document at the start of a text alone",
    "turn_decay": "knows it in the first two turns of a dialogue alone",
}
HEALTHY = frozenset({"healthy", "steady", "half"})
"""Adapters that the gate must let through; no other one may pass it. ``half`` learned half of the sections,
which is what ``assert_passing_section_frac`` asks for, and harms nothing."""
_LETTERS = {"P": "pass", "W": "warn", "F": "fail", "S": "skip", "E": "error"}


@dataclass(frozen=True)
class ExpectedVerdicts:
    """One adapter: what was done to it, and what may be said of it."""

    condition: str
    allowed: Mapping[str, frozenset[str]]


def read_table(table: str, conditions: Mapping[str, str]) -> dict[str, ExpectedVerdicts]:
    """A table of letters, as above."""
    rows = [line.split() for line in table.strip().splitlines()[1:]]
    return {
        name: ExpectedVerdicts(
            conditions[name],
            {
                probe: frozenset(_LETTERS[letter] for letter in cell)
                for probe, cell in zip(PROBES, cells, strict=True)
            },
        )
        for name, *cells in rows
    }


EXPECTED = read_table(_TABLE, CONDITIONS)


def adapter_folders() -> dict[str, Path]:
    """The committed adapters by name; three of them are the quickstart's."""
    shipped = QUICKSTART / "adapters"
    return {
        name: shipped / name if (shipped / name).is_dir() else KNOWN_ADAPTERS / "adapters" / name
        for name in EXPECTED
    }


def contradictions(adapter: str, report: Report, undecided: Collection[str] = ()) -> list[str]:
    """What a report says that the person who made the adapter would not; a line each.

    Args:
        adapter: its name.
        report: of its evaluation.
        undecided: verdicts that say nothing against anybody.
    """
    expected, found_verdicts = EXPECTED[adapter], verdicts(report)
    found = [
        f"{probe}: {found_verdicts[probe]}, expected {' or '.join(sorted(allowed))}"
        for probe, allowed in expected.allowed.items()
        if found_verdicts.get(probe, "missing") not in {*allowed, *undecided}
    ]
    if passed(report) != (adapter in HEALTHY):
        found.append(f"the gate {'let it through' if passed(report) else 'did not let it through'}")
    if adapter == "half":  # trained on the first, third and fifth section of any document
        sections = [row["section_id"] for row in _sections(report)]
        if list(learned(report)) != sections[::2]:
            found.append(f"section_internalization names {', '.join(learned(report))} as learned")
    return found


def _sections(report: Report) -> list[dict[str, str]]:
    entry = next(p for p in report["probes"] if p["name"] == "section_internalization")
    found: list[dict[str, str]] = entry["evidence"]["per_section"]
    return found
