"""Which modules of a model an adapter's config names, by PEFT's rules and by mlx-lm's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LAYER = re.compile(r".*\.[^.]*\.(\d+)\.")
"""Where PEFT finds a layer's number, unless ``layers_pattern`` says where."""
ALL_LINEAR = "all-linear"


def peft_targets(config: Mapping[str, Any], modules: Iterable[str]) -> set[str]:
    """Those of the modules that PEFT would change.

    Args:
        config: an ``adapter_config.json`` of PEFT.
        modules: names of the linear layers and embeddings, without the head where ``target_modules`` is
            ``all-linear``.
    """
    targets, excluded = config.get("target_modules") or (), config.get("exclude_modules") or ()
    return {
        name
        for name in modules
        if not _matches(excluded, name) and (targets == ALL_LINEAR or _is_target(targets, name, config))
    }


def pattern_value(pattern: Mapping[str, Any], name: str, default: Any) -> Any:
    """What ``rank_pattern`` or ``alpha_pattern`` says of a module: the first key that its name ends with."""
    return next((value for key, value in pattern.items() if re.match(rf"(.*\.)?({key})$", name)), default)


def _is_target(targets: str | Sequence[str], name: str, config: Mapping[str, Any]) -> bool:
    if isinstance(targets, str) or name in targets:
        return _matches(targets, name)
    return _matches(targets, name) and _is_of_layers(name, config)


def _matches(wanted: str | Sequence[str], name: str) -> bool:
    """A text is a regular expression for the whole name; a list holds names, or ends of them."""
    if isinstance(wanted, str):
        return re.fullmatch(wanted, name) is not None
    return any(name == one or name.endswith(f".{one}") for one in wanted)


def _is_of_layers(name: str, config: Mapping[str, Any]) -> bool:
    """Whether the module is in one of ``layers_to_transform``, where the config names any."""
    layers = config.get("layers_to_transform")
    if layers is None or layers == []:
        return True
    patterns = config.get("layers_pattern") or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    searched = [re.compile(rf".*\.{pattern}\.(\d+)\.") for pattern in patterns] or [_LAYER]
    found = next((match for one in searched if (match := one.match(name))), None)
    return found is not None and int(found[1]) in ([layers] if isinstance(layers, int) else layers)


def mlx_targets(
    keys: Iterable[str] | None, num_layers: int, layers: Sequence[str], modules: Iterable[str]
) -> set[str]:
    """Those of the modules that mlx-lm would change.

    Args:
        keys: of ``lora_parameters``: names inside a layer, or in the whole model; None for all modules of
            the layers.
        num_layers: how many layers, counted from the last; 0 or less for all.
        layers: names of the layers, in their order.
        modules: names of what can be changed.
    """
    names = list(modules)
    last = layers[-max(num_layers, 0) :]
    inside = {
        name: name.removeprefix(f"{layer}.")
        for layer in last
        for name in names
        if name.startswith(f"{layer}.")
    }
    if keys is None:
        return set(inside)
    wanted = set(keys)
    return {name for name in names if name in wanted or inside.get(name) in wanted}
