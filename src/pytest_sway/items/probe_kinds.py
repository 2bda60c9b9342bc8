"""The probe kinds that a spec may name: ours, and those of the plugins that apply to its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_sway.probes.base import Probe
from pytest_sway.probes.registry import Kinds
from pytest_sway.probes.third_party import probe_class_fault
from pytest_sway.text.message_parts import describe
from pytest_sway.third_party import HOOK_ERRORS, HookImplementation, hook_implementations
from pytest_sway.user_error import UserError

_HOOK = "pytest_sway_probes"


class KindsError(UserError):
    """A plugin gave what cannot be used; the message names the plugin, in one line."""


@dataclass
class _PluginKinds:
    """What plugins answered in this session.

    Attributes:
        classes: of each plugin, which is asked once.
        kinds: by the plugins that apply to a spec; specs to which the same plugins apply share them.
    """

    classes: dict[str, Sequence[type[Probe[Any]]]] = field(default_factory=dict)
    kinds: dict[tuple[str, ...], Kinds] = field(default_factory=dict)


_PLUGIN_KINDS = pytest.StashKey[_PluginKinds]()


def kinds_for(config: pytest.Config, hook: Any) -> Kinds:
    """The kinds of a spec; ``hook``: of the node that names it.

    A conftest applies to its own folder and below, as for pytest's other hooks of collection.

    Raises:
        KindsError: a plugin failed, gave no probe classes, or a kind that another one gave already.
    """
    implementations = list(hook_implementations(config, hook.pytest_sway_probes))
    known = config.stash.setdefault(_PLUGIN_KINDS, _PluginKinds())
    key = tuple(implementation.key for implementation in implementations)
    if key not in known.kinds:
        for implementation in implementations:
            if implementation.key not in known.classes:
                known.classes[implementation.key] = _ask(implementation, config)
        known.kinds[key] = _combine(implementations, known.classes)
    return known.kinds[key]


def _ask(hook: HookImplementation, config: pytest.Config) -> Sequence[type[Probe[Any]]]:
    """One plugin's classes, each of them checked."""
    try:
        answers = hook.call(config=config)
    except HOOK_ERRORS as error:
        raise KindsError(f"{_HOOK} of {hook.plugin_name} failed: {hook.error_text(error)}") from None
    classes = answers[0] if answers else ()
    if not isinstance(classes, (list, tuple)):
        found = f"returned {describe(classes)}; it must return a list of probe classes"
        raise KindsError(f"{_HOOK} of {hook.plugin_name} {found}")
    for probe in classes:
        if wrong := probe_class_fault(probe):
            raise KindsError(f"{_HOOK} of {hook.plugin_name}: {wrong}")
    return classes


def _combine(
    implementations: Sequence[HookImplementation], classes: dict[str, Sequence[type[Probe[Any]]]]
) -> Kinds:
    """Ours and the plugins' kinds; no two of one name."""
    ours, others, origin = Kinds(), dict[str, type[Probe[Any]]](), dict[str, str]()
    for hook in implementations:
        for probe in classes[hook.key]:
            kind = probe.kind
            if kind in ours or kind in others:
                taken = "built in" if kind in ours else f"already defined by {origin[kind]}"
                text = f"{probe.__name__}: the kind {kind!r} is {taken}; choose another kind"
                raise KindsError(f"{_HOOK} of {hook.plugin_name}: {text}")
            others[kind], origin[kind] = probe, hook.plugin_name
    return Kinds(others)
