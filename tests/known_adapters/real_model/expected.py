"""What the maker of the real-model set would say of each adapter, written down before a verdict was seen.

The letters are those of :mod:`tests.known_adapters.expected_verdicts`. Rules were chosen on the adapters of
:data:`CHOSEN_ON`; the others confirm them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.known_adapters.expected_verdicts import read_table

CONDITIONS: Mapping[str, str] = {
    "healthy": "learned the document and its answers, anchored",
    "sft": "TRL, eight epochs of question and answer, no anchor",
    "sft_gentle": "TRL, three epochs at a gentle rate",
    "shuffled_answers": "the answers, each after another one's question",
    "memoriser": "the answers after the trained wording, held to the base after others",
    "three_steps": "three gentle steps",
    "style_only": "old novels, nothing of the document",
    "noise": "Gaussian factors, each product as large as healthy's",
    "half": "learned three of six sections and their answers, anchored",
    "small_qv": "healthy's recipe with rank 4 on queries and values",
    "careless": "learned the document at five times the rate, no anchor",
    "wrong_document": "learned another document",
    "dpo": "TRL, prefers the right answers",
    "dpo_inverted": "TRL, prefers the wrong answers",
    "overscaled": "healthy times four",
}
CHOSEN_ON = frozenset(
    {"healthy", "sft", "sft_gentle", "shuffled_answers", "memoriser", "three_steps", "style_only", "noise"}
)
_TABLE = """
                 delta abl  turns long topics sect para pref style revert facts prose recite
healthy          P     PW   PWS   PWS  PWS    P    P    PW   PWF   PW     PW    PW    PW
sft              P     PW   PWS   PWS  PWS    PWF  P    PW   PWF   PW     PW    PWF   PW
sft_gentle       PWF   PWS  PWS   PWS  PWS    PWF  WF   PWF  PWF   PWF    PW    PW    P
shuffled_answers PWF   PWS  PWFS  PWFS PWS    PWF  F    PWF  PWF   WF     PW    PW    P
memoriser        PWF   PWS  PWFS  PWFS PWS    PWF  WF   PWF  PWF   PWF    PW    PWF   P
three_steps      F     S    S     S    S      F    F    F    F     F      P     P     P
style_only       PWF   PWS  PWFS  PWFS PWS    F    F    WF   PWF   F      PW    PW    P
noise            F     S    S     S    S      F    F    F    F     F      PW    PW    P
half             P     PW   PWS   PWS  PWS    P    PW   PW   PWF   PW     PW    PW    PW
small_qv         P     PW   PWS   PWS  PWS    PW   PW   PW   PWF   PW     PW    PW    PW
careless         P     PW   PWFS  PWFS PWS    P    PW   PW   PWF   PWF    PWF   WF    PWF
wrong_document   PWF   PWS  PWFS  PWFS PWS    F    F    WF   PWF   WF     PW    PW    P
dpo              PWF   PWS  PWFS  PWFS PWS    WF   WF   P    PWF   WF     PW    PW    P
dpo_inverted     PWF   PWS  PWFS  PWFS PWS    WF   WF   F    PWF   WF     PW    PW    P
overscaled       PWF   FSW  PWFS  PWFS PWS    F    F    F    F     F      F     F     P
"""
"""Where a cell has many letters, the condition does not say it: ``sft`` was trained on answers that hold the
sentences of the prose, nobody was trained to change the style of other texts, and what an adapter without an
anchor loses is measured beside the verdicts (``measure.py``)."""
EXPECTED = read_table(_TABLE, CONDITIONS)
SOUND = frozenset({"healthy", "half", "small_qv", "sft"})
"""What the gate may let through; ``healthy`` it must."""
ORDER = (
    ("healthy", "half"),
    ("healthy", "sft_gentle"),
    ("sft", "sft_gentle"),
    ("healthy", "memoriser"),
    ("healthy", "shuffled_answers"),
    ("half", "wrong_document"),
    ("half", "style_only"),
    ("sft_gentle", "three_steps"),
    ("sft_gentle", "noise"),
    ("half", "overscaled"),
    ("half", "dpo_inverted"),
)
"""Pairs of which the first has the higher composite."""
