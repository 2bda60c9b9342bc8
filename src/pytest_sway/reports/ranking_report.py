"""The checkpoints of a run in words, as a table for the terminal, and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_sway.reports.json_report import json_text
from pytest_sway.suites.json_conversion import json_value
from pytest_sway.suites.ranking import Difference, Ranking
from pytest_sway.text import formatting
from pytest_sway.text.width import clean, fold_indented, keep_end, pad, width

_LABEL = 30
_HEAD = ("", "gate", "composite", "learned, against the best", "harm")


def sentences(ranking: Ranking) -> list[str]:
    """The answers, the first of them which one to ship."""
    return [_best(ranking), *_tied(ranking), _stopped_helping(ranking), _harm(ranking)]


def terminal(ranking: Ranking, columns: int = 80) -> list[str]:
    """Lines for a terminal: a row a checkpoint, then the answers; none wider than ``columns``."""
    rows = [list(_HEAD), *_rows(ranking)]
    widths = [max(width(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["  ".join(map(pad, row, widths)).rstrip() for row in rows]
    answers = [part for line in sentences(ranking) for part in fold_indented(clean(line), columns)]
    return [*lines, "", *answers]


def text(ranking: Ranking) -> str:
    """A file's content: what each checkpoint came to, and the answers."""
    return json_text(payload(ranking))


def payload(ranking: Ranking) -> dict[str, Any]:
    """Builtins; checkpoints are named by their labels."""
    names, best = ranking.labels, ranking.best
    content = {
        "checkpoints": [
            {
                "label": names[at],
                "adapter_id": result.adapter_id,
                "composite": result.score.overall,
                "gate": result.gate.status,
                "harm": list(ranking.harm[at]),
                "harm_undecided": list(ranking.doubts[at]),
                "beside_best": [] if at == _reference(ranking) else [
                    {"probe": one.probe, "mean": one.mean, "interval": list(one.interval), "n": one.n}
                    for one in ranking.differences(at, _reference(ranking))
                ],
            }
            for at, result in enumerate(ranking.results)
        ],
        "best": None if best is None else names[best],
        "not_distinguishable": [names[at] for at in ranking.tied],
        "stopped_helping": None if ranking.stopped_helping is None else names[ranking.stopped_helping],
        "harm_begins": None if ranking.harm_begins is None else names[ranking.harm_begins],
        "learning_probes": list(ranking.learning),
        "answers": sentences(ranking),
    }  # fmt: skip
    found: dict[str, Any] = json_value(content)
    return found


def _reference(ranking: Ranking) -> int:
    """What the others are compared with: the best, or the highest where none passes."""
    return ranking.highest if ranking.best is None else ranking.best


def _rows(ranking: Ranking) -> Iterator[list[str]]:
    for at, result in enumerate(ranking.results):
        beside = (
            "—"
            if at == _reference(ranking)
            else _differences_text(ranking.differences(at, _reference(ranking)))
        )
        yield [
            keep_end(clean(ranking.labels[at]), _LABEL),
            result.gate.status,
            formatting.score(result.score.overall),
            beside,
            clean(_harm_text(ranking, at)),
        ]


def _differences_text(differences: list[Difference]) -> str:
    """More, less or the same, by probe."""
    if not differences:
        return "not compared"
    return ", ".join(f"{one.probe} {_direction(one)}" for one in differences)


def _direction(one: Difference) -> str:
    return "less" if one.interval[1] < 0 else "more" if one.interval[0] > 0 else "the same"


def _harm_text(ranking: Ranking, at: int) -> str:
    if ranking.harm[at]:
        return ", ".join(ranking.harm[at])
    doubts = ranking.doubts[at]
    return f"undecided: {', '.join(doubts)}" if doubts else "none"


def _best(ranking: Ranking) -> str:
    best = ranking.best
    if best is None:
        highest = ranking.highest
        overall = formatting.score(ranking.results[highest].score.overall)
        return (
            f"ship no checkpoint: none of the {len(ranking.labels)} passes its gate. The highest composite "
            f"score is {overall} ({ranking.labels[highest]})"
        )
    overall = formatting.score(ranking.results[best].score.overall)
    return (
        f"ship {ranking.labels[best]}: its composite score {overall} is the highest of the checkpoints "
        "that pass their gate"
    )


def _tied(ranking: Ranking) -> Iterator[str]:
    best = ranking.best
    if best is None:
        return
    if not ranking.tied:
        yield "every other checkpoint is clearly worse or does not pass its gate"
        return
    names = ", ".join(ranking.labels[at] for at in ranking.tied)
    earliest = ranking.labels[min(*ranking.tied, best)]
    yield (
        f"these checkpoints cannot be distinguished from the best (joint 95 % intervals): {names}. "
        f"The earliest checkpoint of this group, the best included, is {earliest}"
    )


def _stopped_helping(ranking: Ranking) -> str:
    if not ranking.learning:
        return (
            "it is not known when training stopped helping, because no probe of the suite measures "
            "how much was learned (sections, answers, preferences)"
        )
    stopped = ranking.stopped_helping
    if stopped is None:
        return (
            "training helped to the end: the last checkpoint that passes its gate is clearly better "
            "than the others"
        )
    name = ranking.labels[stopped]
    return f"training stopped helping at {name}: no later checkpoint passes its gate and is clearly better"


def _harm(ranking: Ranking) -> str:
    begins = ranking.harm_begins
    if begins is not None:
        probes = ", ".join(ranking.harm[begins])
        return f"harm begins at {ranking.labels[begins]} ({probes}) and persists until the last checkpoint"
    harmful = [ranking.labels[at] for at, names in enumerate(ranking.harm) if names]
    if harmful:
        return f"harm was found at {', '.join(harmful)}, but not at the last checkpoint"
    undecided = [ranking.labels[at] for at, names in enumerate(ranking.doubts) if names]
    doubt = f", but whether there is harm is undecided at {', '.join(undecided)}" if undecided else ""
    return f"no harm was found{doubt}"
