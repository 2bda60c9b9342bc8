"""Which layer each of an optimizer's parameters belongs to.

An optimizer numbers its parameters in the order in which the model defines them; the adapter's file sorts
its keys by name (``layers.10`` before ``layers.2``). What is certain is that a list's modules come in the
order of their numbers, that a layer's parameters come together, and that LoRA's A comes before its B. So
every order of that kind whose shapes are the optimizer's is tried, and only one that stands alone is
believed. Standard library only.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise, permutations, product

from pytest_sway.user_error import UserError

Shape = tuple[int, ...]

_LAYER = re.compile(r"(?:^|.*?\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")
_PREFIX = "base_model.model."
_PARTS = (
    "lora_A",
    "lora_B",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "weight",
    "bias",
)
"""A module's parameters in the order in which PEFT and torch make them."""
_MOST_ORDERS = 2000
_MOST_NAMES = 4
"""At most so many modules that cannot be distinguished are named."""


class NoLayerMapError(UserError):
    """Which layer a parameter belongs to cannot be found out; the message says why."""


@dataclass(frozen=True)
class ParameterLocation:
    """Where one of the optimizer's parameters is in the model.

    Attributes:
        name: its key; modules of a layer with equal shapes cannot be distinguished, and are all named.
        layer: name of its layer; empty for one outside every layer.
        number: of the layer; -1 outside.
        part: which of its module's parameters it is: ``lora_A``, ``lora_B``, ``weight``, …
    """

    name: str
    layer: str
    number: int
    part: str


@dataclass(frozen=True)
class _Module:
    """The parameters of one module, in the order in which they were made."""

    locations: tuple[ParameterLocation, ...]
    shapes: tuple[Shape, ...]

    def fits(self, order: Sequence[Shape | None]) -> bool:
        """Whether the optimizer's next parameters have its shapes."""
        shapes = order[: len(self.shapes)]
        return len(shapes) == len(self.shapes) and all(
            b is None or a == b for a, b in zip(self.shapes, shapes, strict=True)
        )


_Layer = list[_Module]


def parameter_locations(
    shapes: Mapping[str, Shape], order: Sequence[Shape | None]
) -> tuple[ParameterLocation, ...]:
    """The location of each of the optimizer's parameters.

    Args:
        shapes: by key of the adapter's file.
        order: shapes of the optimizer's parameters; None for one that has none, which any fits.

    Raises:
        NoLayerMapError: no order of the file's modules fits, or several do.
    """
    stacks, others = _layer_lists(shapes)
    if not stacks:
        raise NoLayerMapError(
            "no tensor name of the adapter contains a layer number (layers.N, layer.N, h.N, blocks.N, "
            "block.N)"
        )
    inside = sum(len(module.shapes) for stack in stacks for layer in stack for module in layer)
    spare = len(order) - inside
    if not 0 <= spare <= sum(len(module.shapes) for module in others):
        count = f"{inside} parameters inside layers and {len(shapes) - inside} outside"
        raise NoLayerMapError(f"the adapter has {count}, but the optimizer has {len(order)} parameters")
    if math.perm(len(stacks)) * math.comb(spare + len(stacks), len(stacks)) > _MOST_ORDERS:
        raise NoLayerMapError(
            "cannot tell which optimizer state belongs to which parameter: there are too many possible "
            f"orders of {len(stacks)} lists of layers and {spare} other parameters"
        )
    cuts = [(0, *cut, spare) for cut in combinations_with_replacement(range(spare + 1), len(stacks))]
    layouts = {
        _try_layout(order, stacked, others, cut) for stacked, cut in product(permutations(stacks), cuts)
    }
    fitting = [layout for layout in layouts if layout is not None]
    if len(fitting) != 1:
        orders = "several orders of the adapter's modules match"
        orders = orders if fitting else "no order of the adapter's modules matches"
        raise NoLayerMapError(
            f"cannot tell which optimizer state belongs to which parameter: {orders} the shapes in the "
            "optimizer state"
        )
    return fitting[0]


def _layer_lists(shapes: Mapping[str, Shape]) -> tuple[list[list[_Layer]], list[_Module]]:
    """Lists of layers, in the order of their numbers, and the modules outside them."""
    modules: dict[str, dict[str, Shape]] = {}
    for key, shape in shapes.items():
        module, part = _split_key(key)
        modules.setdefault(module, {})[part] = shape
    stacks: dict[str, dict[int, dict[str, dict[str, Shape]]]] = {}
    others = {}
    for name, parts in modules.items():
        match = _LAYER.match(f"{name}.")
        if match is None:
            others[name] = parts
        else:
            layers = stacks.setdefault(match[0][: match.start(1)], {})
            layers.setdefault(int(match[1]), {})[name[len(match[0]) :]] = parts
    lists = [
        [_modules_of_layer(f"{stack}{number}", number, layers[number]) for number in sorted(layers)]
        for stack, layers in stacks.items()
    ]
    return lists, _modules_of_layer("", -1, others)


def _modules_of_layer(layer: str, number: int, named: Mapping[str, Mapping[str, Shape]]) -> list[_Module]:
    """The modules of one layer, from the shapes of their parameters by name."""
    alike: dict[tuple[tuple[str, Shape], ...], list[str]] = {}
    for name, parts in named.items():
        signature = tuple(sorted(parts.items(), key=lambda item: _PARTS.index(item[0])))
        alike.setdefault(signature, []).append(name)
    layer = layer.removeprefix(_PREFIX)
    modules = []
    for signature, names in alike.items():
        label = "|".join(names) if len(names) <= _MOST_NAMES else f"(one of {len(names)} alike)"
        label = ".".join(filter(None, [layer, label.replace(_PREFIX, "")]))
        locations = tuple(ParameterLocation(f"{label}.{part}", layer, number, part) for part, _ in signature)
        modules += [_Module(locations, tuple(shape for _, shape in signature))] * len(names)
    return modules


def _split_key(key: str) -> tuple[str, str]:
    """A key's module, and which of its parameters it is."""
    names = key.split(".")
    at = next(
        (i for i, name in enumerate(names) if name.startswith("lora_") and name in _PARTS), len(names) - 1
    )
    return (".".join(names[:at]), names[at]) if names[at] in _PARTS else (key, "weight")


def _try_layout(
    order: Sequence[Shape | None],
    stacks: Sequence[list[_Layer]],
    others: _Layer,
    cuts: Sequence[int],
) -> tuple[ParameterLocation, ...] | None:
    """The locations when other parameters stand before, between and after the lists; None where that fails.

    Args:
        order: shapes of the optimizer's parameters.
        stacks: lists of layers, in this order.
        others: modules outside them; one that shares its weight with another is not in the optimizer.
        cuts: before the i-th list, the parameters outside have come as far as ``cuts[i + 1]``.
    """
    layout: list[ParameterLocation] = []
    for count, stack in zip((after - before for before, after in pairwise(cuts)), [*stacks, []], strict=True):
        between = _arrange(others, order[len(layout) : len(layout) + count])
        if between is None:
            return None
        layout += _locations(between)
        others = list((Counter(others) - Counter(between)).elements())
        for layer in stack:
            length = len(_locations(layer))
            arranged = _arrange(layer, order[len(layout) : len(layout) + length])
            if arranged is None:
                return None
            layout += _locations(arranged)
    return tuple(layout)


def _locations(modules: _Layer) -> list[ParameterLocation]:
    return [location for module in modules for location in module.locations]


def _arrange(modules: _Layer, order: Sequence[Shape | None]) -> _Layer | None:
    """Modules, each once at most, whose shapes are these in this order; None without such an order.

    A search in depth that remembers where it failed, since a parameter without a shape fits any module.
    """
    kinds = list(dict.fromkeys(modules))
    tries: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = [(0, tuple(map(modules.count, kinds)), ())]
    seen: set[tuple[int, tuple[int, ...]]] = set()
    while tries:
        at, left, path = tries.pop()
        if at == len(order):
            return [kinds[i] for i in path]
        if (at, left) in seen:
            continue
        seen.add((at, left))
        for i, kind in enumerate(kinds):
            if left[i] and kind.fits(order[at : at + len(kind.shapes)]):
                rest = (*left[:i], left[i] - 1, *left[i + 1 :])
                tries.append((at + len(kind.shapes), rest, (*path, i)))
    return None
