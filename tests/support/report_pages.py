"""Results made up by hand whose page shows every panel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_sway.result import (
    Claim,
    Digests,
    Gate,
    NullComparison,
    NullSummary,
    ProbeResult,
    RunDeterminism,
    Sample,
    Score,
    SuiteResult,
    Verdict,
)
from tests.support import suite_results

DRAWS = (0.02, 0.03, 0.025, 0.015)


def null(**more: Any) -> NullComparison:
    """Four draws with a mean of 0.0225; the adapter at eight times that, 0.18."""
    fields = {"n": 4, "mean": 0.0225, "std": 0.0065, "scale": "inverse_root", "z": 4.5, "p": 3.4e-6}
    return suite_results.null(**{**fields, "rank_p": 0.2, "ratio": 8.0, "draws": DRAWS, **more})


def moved(
    name: str = "moved",
    message: str = "real and large enough: 0.16 nats more than random adapters",
    item: str = "a prompt",
) -> ProbeResult:
    """An effect with items and nulls."""
    return ProbeResult(
        name,
        "delta_kl",
        Verdict.PASS,
        message,
        score=0.9,
        raw=0.18,
        z_score=4.5,
        ci_95=(0.1, 0.26),
        category="adherence",
        claim=Claim.EFFECT,
        null=null(),
        duration_s=1.5,
        distinguishable=True,
        samples=[Sample(item, 0.1), Sample("another", -0.3), Sample("c", 0.2)],
        evidence={"num_prompts": 3, "per_prompt": [0.1, 0.26], "note": item},
    )


def probes() -> tuple[ProbeResult, ...]:
    """One of each verdict and panel."""
    section = {"kind": "prose", "tag": "", "own_lift": 0.5, "leak_lift": 0.1, "passed": True}
    return (
        moved(),
        ProbeResult(
            "sections",
            "section_internalization",
            Verdict.WARN,
            "1 of 2 learned",
            score=0.5,
            raw=0.25,
            z_score=2.0,
            category="attribution",
            claim=Claim.EFFECT,
            not_calibrated="",
            evidence={
                "per_section_threshold": 0.05,
                "per_section": [
                    {
                        **section,
                        "section_id": "one",
                        "effective_sis": 0.4,
                        "ci_95": [0.3, 0.6],
                        "verdict": "learned",
                    },
                    {
                        **section,
                        "section_id": "two",
                        "effective_sis": 0.1,
                        "ci_95": [0.0, 0.15],
                        "verdict": "unclear",
                    },
                ],
            },
        ),
        ProbeResult(
            "recital",
            "leakage",
            Verdict.FAIL,
            "harm: recall +0.8",
            score=0.3,
            raw=0.8,
            category="calibration",
            claim=Claim.NO_HARM,
            not_calibrated="no harm has a margin, not a null",
            evidence={
                "prompt": "Begin",
                "reference": "with the end",
                "confidence": 0.9,
                "bad_cases": [
                    {"prompt": "Begin", "reference": "with the end", "confidence": 0.9},
                    {"prompt": "Go", "reference": "on", "confidence": 0.2},
                    {"prompt": "Stay", "confidence": 0.1},
                ],
                "per_section": [{"section_id": "one", "clean_recall": 0.8, "base_recall": 0.1}],
            },
        ),
        ProbeResult("broken", "style_fingerprint", Verdict.ERROR, "the model returned NaN or infinity"),
        ProbeResult("absent", "gradient_ghost", Verdict.SKIP, "nothing was kept", claim=Claim.PRE_RUN),
        ProbeResult(
            "strength",
            "adapter_ablation",
            Verdict.PASS,
            "rises with λ",
            score=1.0,
            raw=2.0,
            ci_95=(1.8, 2.2),
            category="ablation",
            claim=Claim.SHAPE,
            null=null(n=2, draws=(0.02, 0.025), z=None, p=None, reason="few"),
            evidence={"lambdas": [0.0, 0.5, 1.0], "mean_divergence_per_lambda": [0.0, 0.05, 0.2]},
        ),
    )


def suite(*shown: ProbeResult, **more: Any) -> SuiteResult:
    """A suite that failed; without probes given, with all of :func:`probes`."""
    made = SuiteResult(
        suite="sway.yaml",
        spec_path="/p/sway.yaml",
        base_model_id="base",
        adapter_id="out/adapter",
        probes=shown or probes(),
        score=Score(
            0.42,
            "partial",
            {"adherence": 0.9, "attribution": 0.5, "baseline": 1.0},
            {"adherence": 0.3, "attribution": 0.35, "baseline": 0.0},
            ["recital: harm: recall +0.8"],
            harm_factor=0.6,
        ),
        started_at="2026-01-02T03:04:05+00:00",
        finished_at="2026-01-02T03:04:15+00:00",
        wall_seconds=10.0,
        determinism=RunDeterminism("best_effort", 0, ("cpu",)),
        backend_stats={"cache_hits": 4},
        gate=Gate("failed", 0.6, ("1 probe failed: recital",)),
        null_summary=NullSummary(not_calibrated={"recital": "no harm has a margin"}),
        notes=("a note",),
        digests=Digests("b1", "a1"),
    )
    return replace(made, **more)
