"""Which layer the parameters of an optimizer with one or two parameter groups belong to.

transformers' Trainer makes two groups, of the parameters with and without weight decay; without decay are
biases and norms, by their names (``Trainer.get_decay_parameter_names``). PEFT's LoRA+
(``create_loraplus_optimizer``) makes one of LoRA's A and one of its B. Within a group the model's order
stands. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pytest_sway.training.layer_map import NoLayerMapError, ParameterLocation, Shape, parameter_locations

_NO_DECAY = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")
_SECOND_GROUPS: tuple[Callable[[str], bool], ...] = (
    lambda key: _NO_DECAY.search(key.lower()) is not None,
    lambda key: "lora_B" in key,
)
"""Which keys are in the second group: those without weight decay; of LoRA+, the B factors."""


def grouped_locations(
    shapes: Mapping[str, Shape], order: Sequence[Shape | None], group_sizes: Sequence[int]
) -> tuple[ParameterLocation, ...]:
    """The location of each of the optimizer's parameters, in the order of its groups.

    Args:
        shapes: by key of the adapter's file.
        order: shapes of the optimizer's parameters; None for one that has none, which any fits.
        group_sizes: how many of them each group holds.

    Raises:
        NoLayerMapError: no order of the file's modules fits, several do, or the groups are of another kind.
    """
    if len(group_sizes) < 2:
        return parameter_locations(shapes, order)
    if len(group_sizes) == 2:
        for in_second in _SECOND_GROUPS:
            parts = [
                {key: shapes[key] for key in shapes if in_second(key) is second} for second in (False, True)
            ]
            try:
                return parameter_locations(parts[0], order[: group_sizes[0]]) + parameter_locations(
                    parts[1], order[group_sizes[0] :]
                )
            except NoLayerMapError:
                continue
    raise NoLayerMapError(
        "cannot tell which optimizer state belongs to which parameter: the optimizer has "
        f"{len(group_sizes)} parameter groups, and the adapter's tensors cannot be assigned to them"
    )
