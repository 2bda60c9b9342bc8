"""Notes on why two results may differ for another reason than the adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from pytest_sway.result import Digests, ProbeResult, SuiteResult, null_adapters
from pytest_sway.suites.changes import ProbeChange


def notes(then: SuiteResult, now: SuiteResult, found: list[ProbeChange]) -> list[str]:
    """What else changed, one line each.

    Args:
        then: the earlier result.
        now: the later one.
        found: the changes of their probes.
    """
    return [
        *_tool_notes(then, now),
        *_model_notes(then, now),
        *_setting_notes(then, now),
        *_null_notes(found),
    ]


def _tool_notes(then: SuiteResult, now: SuiteResult) -> Iterator[str]:
    """dlm-sway's results have no suite id."""
    if bool(then.suite) != bool(now.suite):
        which = "earlier" if now.suite else "later"
        yield (
            f"the {which} result was written by another tool, which computes raw, score and composite "
            "differently"
        )
    elif then.sway_version != now.sway_version:
        yield _then_and_now("pytest-sway", then.sway_version or "unknown", now.sway_version or "unknown")
    if then.gate.is_partial:
        yield "the earlier result is from a partial run, so the composite scores are not compared"


def _model_notes(then: SuiteResult, now: SuiteResult) -> Iterator[str]:
    before, after = then.digests or Digests(), now.digests or Digests()
    same_base = _is_same(before.base, after.base)
    same_adapter = _is_same(before.adapter, after.adapter)
    base_then, base_now = PurePath(then.base_model_id).name, PurePath(now.base_model_id).name
    if same_base is False:
        yield f"the weights of the base model have changed (base model: {base_then} then, {base_now} now)"
    elif same_base is None and base_then != base_now:
        yield _then_and_now("base model", base_then, base_now)
    if same_base and same_adapter:
        yield "the weights of the base model and the adapter have not changed"


def _setting_notes(then: SuiteResult, now: SuiteResult) -> Iterator[str]:
    before, after = (PurePath(one.spec_path).name for one in (then, now))
    if before != after:
        yield _then_and_now("spec", before, after)
    seed_then, seed_now = _seed(then), _seed(now)
    if seed_then != seed_now:
        yield _then_and_now("seed", seed_then, seed_now)
    if then.score.weights != now.score.weights:
        names = [name for name, weight in now.score.weights.items() if then.score.weights.get(name) != weight]
        changed = ", ".join(names) or "fewer categories"
        yield f"the category weights have changed ({changed}), which also changes the composite score"


def _null_notes(found: list[ProbeChange]) -> Iterator[str]:
    """Probes that were compared with other random adapters, those alike in one line."""
    alike: dict[str, list[str]] = {}
    for change in found:
        if change.then is None or change.now is None:
            continue
        before, after = _null_population_text(change.then), _null_population_text(change.now)
        if before and after and before != after:
            alike.setdefault(_then_and_now("compared with", before, after), []).append(change.name)
    for text, names in alike.items():
        yield f"{', '.join(names)}: {text}"


def _null_population_text(probe: ProbeResult) -> str:
    return f"{probe.null.n} {null_adapters(probe.null.family)}" if probe.null is not None else ""


def _seed(result: SuiteResult) -> int | None:
    return None if result.determinism is None else result.determinism.seed


def _is_same(then: object, now: object) -> bool | None:
    """None where one of them is not known."""
    return then == now if then and now else None


def _then_and_now(what: str, then: object, now: object) -> str:
    return f"{what} {then} then, {now} now"
