"""The plan of a run before it starts: tokens, time and memory of every probe; of a server, requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from pytest_sway.suites.cost_plan import PlannedProbe, total
from pytest_sway.text import formatting
from pytest_sway.text.width import pad, width

_HEADINGS = ("probe", "tokens", "time", "memory", "at most")
_SERVER_HEADINGS = ("probe", "requests", "tokens", "requests at most", "tokens at most")
_NOTE = (
    "The numbers are estimated from the prompts and from a short measurement of this model on this machine. "
    "They do not include loading the model, sentence embeddings or statistics. "
    "The 'at most' column applies if every random (null) adapter is needed."
)

_SERVER_NOTE = (
    "The numbers are estimated from the prompts. The time that the server needs is not known. The numbers do "
    "not include the requests that load adapters on the server and check its answers. "
    "The 'at most' columns apply if every random (null) adapter is needed."
)


def show(writer: pytest.TerminalReporter, probes: Sequence[PlannedProbe]) -> None:
    """Write a section per suite."""
    for suite in dict.fromkeys(one.suite for one in probes):
        writer.write_sep("=", f"sway plan: {suite}")
        for line in lines([one for one in probes if one.suite == suite]):
            writer.write_line(line)


def lines(probes: Sequence[PlannedProbe]) -> Iterator[str]:
    """A suite's table, its sum last."""
    asking = [one for one in probes if not one.reason]
    of_server = any(one.requests for one in asking)
    headings, cells = (_SERVER_HEADINGS, _server_cells) if of_server else (_HEADINGS, _cells)
    rows = [headings, *map(cells, [*asking, total(asking)])]
    widths = [max(width(row[i]) for row in rows) for i in range(len(headings))]
    for row in rows:
        name, *figures = (
            pad(text, size, right=i > 0) for i, (text, size) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([name, *figures]).rstrip()
    for one in probes:
        if one.reason:
            yield f"{one.name}: {one.reason}"
    yield _SERVER_NOTE if of_server else _NOTE


def _cells(one: PlannedProbe) -> tuple[str, ...]:
    return (
        one.name,
        f"{one.tokens:,}",
        formatting.long_duration(one.seconds),
        formatting.size(one.memory),
        formatting.long_duration(one.most_seconds),
    )


def _server_cells(one: PlannedProbe) -> tuple[str, ...]:
    counts = (one.requests, one.tokens, one.most_requests, one.most_tokens)
    return (one.name, *(f"{count:,}" for count in counts))
