"""What the YAML of a front matter may ask for, counted before any of it is built."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from pytest_sway.dlm.errors import DlmError

MOST_CHARS = 256 * 1024
_MOST_VALUES = 100_000
_MOST_DEPTH = 40
MOST_NUMBER_CHARS = 1000
"""Of a number: Python refuses to write a much longer one, and to read one in base 60 takes quadratic time."""
NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def check_nodes(root: yaml.Node) -> None:
    """Raise DlmError where aliases expand to too many values or to themselves, or a number is too long."""
    sizes: dict[int, int] = {}
    for node in _from_the_leaves(root):
        sizes[id(node)] = 1 + sum(sizes[id(part)] for part in _parts(node))
        if sizes[id(node)] > _MOST_VALUES:
            raise DlmError(
                f"the YAML aliases of the front matter expand to more than {_MOST_VALUES:,} values",
                _line(node),
            )
        if node.tag in NUMBER_TAGS and len(node.value) > MOST_NUMBER_CHARS:
            raise DlmError(f"a number is longer than {MOST_NUMBER_CHARS:,} characters", _line(node))


def _from_the_leaves(root: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once, its parts before it."""
    seen: set[int] = set()
    around: list[tuple[yaml.Node, Iterator[yaml.Node]]] = [(root, _parts(root))]
    while around:
        node, parts = around[-1]
        part = next((one for one in parts if id(one) not in seen), None)
        if part is None:
            seen.add(id(node))
            around.pop()
            yield node
        elif any(part is one for one, _ in around):
            raise DlmError("the front matter has a YAML alias that contains itself", _line(part))
        elif len(around) == _MOST_DEPTH:
            raise DlmError(f"the front matter is nested deeper than {_MOST_DEPTH}", _line(part))
        else:
            around.append((part, _parts(part)))


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (key, value)


def _line(node: yaml.Node) -> int:
    """In the file, whose first line is the ``---`` before the front matter."""
    return node.start_mark.line + 2 if node.start_mark is not None else 2
