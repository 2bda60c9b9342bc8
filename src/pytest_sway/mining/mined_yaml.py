"""What was mined as YAML that pastes into a spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_sway.mining.meaning import LEAST_SIMILARITY
from pytest_sway.mining.outliers import Outlier
from pytest_sway.mining.paraphrases import MinedCase
from pytest_sway.spec_generation.annotated_yaml import block, comment
from pytest_sway.version import __version__

_DIGITS = 4
_CHOSEN = (
    "These items were selected because of this adapter's effect on them. A confidence interval over them "
    "describes the selected items, not questions in general. Reports that use these items say so."
)


def cases_text(cases: Sequence[MinedCase], source: str, rejected: Counter[str], *, has_embedder: bool) -> str:
    """``mined_cases:``, to be pasted as ``cases:`` of a ``paraphrase_invariance``."""
    tried = sum(case.candidates for case in cases)
    counts = ", ".join(f"{count} {reason}" for reason, count in rejected.most_common()) or "none"
    meaning = (
        f"each wording has a cosine similarity of at least {LEAST_SIMILARITY:g} with its question and is "
        "closer to it than to all other questions"
        if has_embedder
        else "none, because the extra semsim is not installed; review the wordings before use"
    )
    what = (
        f"Made by sway mine --mode paraphrase (pytest-sway {__version__}) from {source}. The adapter "
        "loses more of its gain on the original question (its lift) with these wordings than with the other "
        "tested wordings. Paste the list under the key cases of a paraphrase_invariance probe."
    )
    head = [
        what,
        f"{tried} wordings were measured. Rejected wordings: {counts}. Check of the meaning: {meaning}.",
        _CHOSEN,
    ]
    rows = [
        {
            **case.fields,
            "paraphrases": list(case.paraphrases),
            "_mining_meta": {
                "top_gaps": [round(gap, _DIGITS) for gap in case.gaps],
                "verbatim_lift": round(case.verbatim_lift, _DIGITS),
                "candidates": case.candidates,
            },
        }
        for case in cases
    ]
    return comment("\n".join(head)) + block({"mined_cases": rows})


def outliers_text(found: Sequence[Outlier], top: int, source: str, kind: str) -> str:
    """``mined_outliers:``; either list may be pasted as ``prompts:``."""
    has_nulls = all(one.null_mean is not None for one in found)
    by = (
        "minus the mean of the random (null) adapters on the same prompt"
        if has_nulls
        else "not compared with random (null) adapters"
    )
    what = (
        f"Made by sway mine --mode outliers (pytest-sway {__version__}) from {source}. Of {len(found)} "
        f"prompts, these are the {top} with the largest and the {top} with the smallest divergence between "
        f"the adapter and the base model ({by}). Paste one of the lists under the key prompts of a {kind} "
        "probe."
    )
    head = [what, _CHOSEN]
    lists = {"top": found[:top], "bottom": found[-top:][::-1]}
    rows: Mapping[str, Any] = {name: [_row(one) for one in some] for name, some in lists.items()}
    return comment("\n".join(head)) + block({"mined_outliers": {"probe_kind": kind, **rows}})


def _row(one: Outlier) -> dict[str, Any]:
    row: dict[str, Any] = {"prompt": one.prompt, "raw": round(one.raw, _DIGITS), "index": one.index}
    return row | ({"net": round(one.net, _DIGITS)} if one.null_mean is not None else {})
