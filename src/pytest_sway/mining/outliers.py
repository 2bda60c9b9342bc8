"""The prompts that an adapter moves most and least, beyond what random adapters do to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pytest_sway.items.null_adapter_entry import NullAdapterEntry
from pytest_sway.items.suite import Suite
from pytest_sway.items.suite_entries import SuiteEntry
from pytest_sway.mining.errors import MiningError
from pytest_sway.probes.base import Judgement, NullSample
from pytest_sway.probes.delta_kl import DeltaKL, DeltaKLOptions
from pytest_sway.probes.null_adapter import NullAdapterOptions
from pytest_sway.result import Measurement, ProbeResult

_NAME = "outliers"


class PromptDivergences(DeltaKL):
    """The divergence on each prompt, and the mean of the null adapters' on the same prompt."""

    def judge(self, measured: Measurement, nulls: NullSample | None) -> Judgement:
        """The verdict of ``delta_kl``; among the evidence the nulls' means."""
        judged = super().judge(measured, nulls)
        samples = nulls.samples if nulls is not None else ()
        means = [fmean(values) for values in zip(*(one.samples for one in samples), strict=True)]
        return replace(judged, evidence={**judged.evidence, "null_per_prompt": means})


@dataclass(frozen=True)
class Outlier:
    """A prompt of the pool.

    Attributes:
        prompt: its text.
        index: in the pool, from 0.
        raw: divergence between base and adapter, in nats.
        null_mean: of the null adapters on the same prompt; None where none answered.
    """

    prompt: str
    index: int
    raw: float
    null_mean: float | None

    @property
    def net(self) -> float:
        """What the adapter adds to the nulls' mean."""
        return self.raw - (self.null_mean or 0.0)


def spec_prompts(suite: Suite) -> list[str]:
    """The prompts of the suite's ``delta_kl``, each once.

    Raises:
        MiningError: there is no such entry.
    """
    found = [e for e in suite.entries if isinstance(e.probe, DeltaKL) and e.enabled]
    if not found:
        raise MiningError(
            "the suite has no delta_kl probe to take prompts from; add one, or pass --from FILE or "
            "--from-corpus public_domain_en"
        )
    return list(dict.fromkeys(prompt for entry in found for prompt in entry.probe.options.prompts))


def with_pool(suite: Suite, pool: Sequence[str], top: int) -> Suite:
    """The suite with nothing but the divergences on the pool; random adapters where it has none.

    The other options are those of the suite's first ``delta_kl``.

    Raises:
        MiningError: the pool has fewer than ``2 * top`` prompts.
    """
    pool = list(dict.fromkeys(pool))
    if len(pool) < 2 * top:
        raise MiningError(
            f"there are only {len(pool)} distinct prompts, but --top-k {top} needs {2 * top} ({top} for "
            f"each list); use --top-k {max(1, len(pool) // 2)}, or pass more prompts with --from FILE"
        )
    entries = [e for e in suite.entries if isinstance(e.probe, DeltaKL) and e.enabled]
    written = entries[0].probe.options if entries else DeltaKLOptions(prompts=pool)
    options = written.model_copy(update={"name": _NAME, "kind": DeltaKL.kind, "prompts": pool})
    line = entries[0].line if entries else 1
    entry = SuiteEntry(_NAME, PromptDivergences(options), f"{suite.path.name}:{line}", line, 0)
    plan = suite.plan or NullAdapterEntry(NullAdapterOptions()).plan(suite.spec.envelope.defaults)
    return replace(suite, entries=(entry,), plan=plan)


def ranked(probe: ProbeResult, pool: Sequence[str]) -> list[Outlier]:
    """The prompts by what the adapter adds to the null adapters' mean, the largest first."""
    raw = probe.evidence["per_prompt"]
    means = probe.evidence["null_per_prompt"] or [None] * len(raw)
    found = [Outlier(*one) for one in zip(pool, range(len(raw)), raw, means, strict=True)]
    return sorted(found, key=lambda one: (-one.net, one.index))
