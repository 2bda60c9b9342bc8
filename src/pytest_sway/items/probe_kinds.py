"""The kinds that a spec may name where it stands: ours, and those of the plugins that are heard there."""

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

_HOOK = "pytest_sway_probes"


class KindsError(Exception):
    """A plugin gave what cannot be used; the message names the plugin, in one line."""


@dataclass
class _Heard:
    """What was asked of plugins in this session.

    Attributes:
        given: each plugin's classes; it is asked once.
        kinds: by the plugins that are heard together; two specs that hear the same have the same kinds.
    """

    given: dict[str, Sequence[type[Probe[Any]]]] = field(default_factory=dict)
    kinds: dict[tuple[str, ...], Kinds] = field(default_factory=dict)


_HEARD = pytest.StashKey[_Heard]()


def kinds_for(config: pytest.Config, hook: Any) -> Kinds:
    """The kinds of a spec, as whoever names it hears them through ``hook``.

    A conftest is heard in its own folder and below, as it is for pytest's other hooks of collection.

    Raises:
        KindsError: a plugin failed, gave no probe classes, or a kind that another one gave already.
    """
    plugins = list(hook_implementations(config, hook.pytest_sway_probes))
    heard = config.stash.setdefault(_HEARD, _Heard())
    key = tuple(asked.key for asked in plugins)
    if key not in heard.kinds:
        for asked in plugins:
            if asked.key not in heard.given:
                heard.given[asked.key] = _given(asked, config)
        heard.kinds[key] = _together(plugins, heard.given)
    return heard.kinds[key]


def _given(asked: HookImplementation, config: pytest.Config) -> Sequence[type[Probe[Any]]]:
    """One plugin's classes, each of them looked at."""
    try:
        answers = asked.call(config=config)
    except HOOK_ERRORS as error:
        raise KindsError(f"{_HOOK} of {asked.plugin} failed: {asked.why(error)}") from None
    classes = answers[0] if answers else ()
    if not isinstance(classes, (list, tuple)):
        found = f"returned {describe(classes)}; return a list of probe classes"
        raise KindsError(f"{_HOOK} of {asked.plugin} {found}")
    for probe in classes:
        if wrong := probe_class_fault(probe):
            raise KindsError(f"{_HOOK} of {asked.plugin}: {wrong}")
    return classes


def _together(plugins: Sequence[HookImplementation], given: dict[str, Sequence[type[Probe[Any]]]]) -> Kinds:
    """One name, one kind."""
    ours, others, origin = Kinds(), dict[str, type[Probe[Any]]](), dict[str, str]()
    for asked in plugins:
        for probe in given[asked.key]:
            kind = probe.kind
            if kind in ours or kind in others:
                taken = "built in" if kind in ours else f"{origin[kind]}'s already"
                text = f"{probe.__name__}: the kind {kind!r} is {taken}; name yours otherwise"
                raise KindsError(f"{_HOOK} of {asked.plugin}: {text}")
            others[kind], origin[kind] = probe, asked.plugin
    return Kinds(others)
