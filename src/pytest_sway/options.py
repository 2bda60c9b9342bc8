"""Every option of the command line and of pytest's ini file, each with the function that reads its value.

Loaded at start-up in every project, so its imports are light. What is wrong with a value is raised as
``pytest.UsageError``: before an ``ArgumentTypeError`` argparse would print its usage and the option again.
"""

from __future__ import annotations

import pytest

from pytest_sway.text.sizes import size_in_bytes

_SPEC_FILES = ["sway.yaml", "sway.yml", "*.sway.yaml", "*.sway.yml"]
_PROFILES = ("quick", "standard", "thorough")
_LEAST_MEMORY = 16 << 20


def add_options(parser: pytest.Parser) -> None:
    """Options start with ``--sway-``; help begins with a capital and ends without a full stop."""
    group = parser.getgroup("sway", "evaluation of fine-tuned adapters (pytest-sway)")
    group.addoption(
        "--sway-adapter",
        action="append",
        default=[],
        metavar="DIR",
        help="Adapter to evaluate instead of models.ft.adapter of the spec (repeatable; accepts globs)",
    )
    group.addoption(
        "--sway-threshold",
        type=threshold,
        metavar="SCORE",
        help="Minimum composite score to pass the gate, in [0, 1]",
    )
    group.addoption(
        "--sway-weights",
        type=weights,
        metavar="CATEGORY=WEIGHT,…",
        help="Category weights, which override the weights in the spec",
    )
    group.addoption("--sway-json", metavar="PATH", help="Write the result as JSON (schema 1) to this file")
    group.addoption("--sway-md", metavar="PATH", help="Write the report as Markdown to this file")
    group.addoption(
        "--sway-step-summary",
        action="store_true",
        help="Append the Markdown report to the file in $GITHUB_STEP_SUMMARY, if that variable is set",
    )
    group.addoption(
        "--sway-baseline",
        metavar="PATH",
        help="Compare with an earlier result (a file or folder that --sway-json wrote)",
    )
    group.addoption(
        "--sway-fail-on-regression",
        type=regression_drop,
        metavar="DROP",
        help="Fail the gate if a score or the composite score dropped by DROP or more since the baseline, "
        "or if a probe is missing",
    )
    group.addoption(
        "--sway-html", metavar="PATH", help="Write the report as a self-contained HTML page to this file"
    )
    group.addoption(
        "--sway-profile",
        type=profile,
        metavar="PROFILE",
        help="How much to measure: quick, standard or thorough; overrides defaults.profile of the spec",
    )
    group.addoption(
        "--sway-samples",
        type=sample_count,
        metavar="N",
        help="Show the answers of the base model and the adapter to N questions of the suite, side by side",
    )
    group.addoption(
        "--sway-server",
        metavar="URL",
        help="URL of a server (sway serve) to run the evaluation; its API key is read from $SWAY_SERVE_KEY",
    )
    group.addoption(
        "--sway-trace",
        metavar="PATH",
        help="Write one JSON line for each request to a model to this file: the probe, the model or adapter, "
        "the duration, and whether the answer was cached",
    )
    group.addoption(
        "--sway-memory",
        type=memory_size,
        default=1 << 30,
        metavar="SIZE",
        help="Memory that a batch may use in addition to the model's weights (default: 1GiB)",
    )
    group.addoption(
        "--sway-exact",
        action="store_true",
        help="Score each text in its own batch, so that results do not depend on batching (slower)",
    )
    group.addoption(
        "--sway-strict",
        action="store_true",
        help="Treat probe warnings as failures",
    )
    group.addoption(
        "--sway-limit",
        type=item_limit,
        metavar="N",
        help="For a quick look: use at most N prompts, cases or sections per probe, and skip the gate",
    )
    group.addoption(
        "--sway-plan",
        action="store_true",
        help="Load the model and estimate the tokens, time and memory of each probe without running it",
    )
    group.addoption(
        "--sway-cache-clear",
        action="store_true",
        help="Clear the on-disk answer cache before running",
    )
    parser.addini(
        "sway_junit_probes",
        "Add the verdict, score, raw value and z-score of each probe to its JUnit testcase as properties "
        "(strict JUnit readers reject properties)",
        type="bool",
        default=False,
    )
    parser.addini("sway_files", "Glob patterns for the names of spec files", type="args", default=_SPEC_FILES)


def threshold(text: str) -> float:
    """The smallest composite that passes the gate."""
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise pytest.UsageError(f"--sway-threshold={text}: write a number in [0, 1], e.g. 0.6")
    return value


def weights(text: str) -> dict[str, float]:
    """Weights by category, as ``adherence=0.5,ablation=0``."""
    from pytest_sway.result import CATEGORY_WEIGHTS  # no run without the option pays for it

    values: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        value = _number(number)
        if not equals or value is None or not 0 <= value < float("inf"):
            raise pytest.UsageError(
                f"--sway-weights={text}: {part.strip()!r} is not valid; write CATEGORY=WEIGHT with a "
                "finite weight ≥ 0, e.g. adherence=0.5,ablation=0"
            )
        if name not in CATEGORY_WEIGHTS:
            known = ", ".join(CATEGORY_WEIGHTS)
            raise pytest.UsageError(f"--sway-weights: unknown category {name!r}; the categories are {known}")
        values[name] = value
    if not sum({**CATEGORY_WEIGHTS, **values}.values()):
        raise pytest.UsageError(f"--sway-weights={text}: all weights are 0; write at least one weight > 0")
    return values


def regression_drop(text: str) -> float:
    """The smallest drop below the baseline that fails the gate."""
    value = _number(text)
    if value is None or not 0 < value <= 1:
        raise pytest.UsageError(f"--sway-fail-on-regression={text}: write a number in (0, 1], e.g. 0.1")
    return value


def memory_size(text: str) -> int:
    """Bytes, of ``512MiB`` or ``2GB``."""
    size = size_in_bytes(text)
    if size is None:
        raise pytest.UsageError(f"--sway-memory={text}: write a size, e.g. 512MiB or 2GB")
    if size < _LEAST_MEMORY:
        raise pytest.UsageError(f"--sway-memory={text}: a batch needs 16MiB or more")
    return size


def item_limit(text: str) -> int:
    """The most items of a probe that are looked at."""
    if not text.isdecimal() or int(text) < 1:
        raise pytest.UsageError(f"--sway-limit={text}: write the number of items per probe, e.g. 3")
    return int(text)


def profile(text: str) -> str:
    """How much is measured where the spec does not say."""
    if text not in _PROFILES:
        raise pytest.UsageError(f"--sway-profile={text}: write one of {', '.join(_PROFILES)}")
    return text


def sample_count(text: str) -> int:
    """How many answers are shown side by side."""
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise pytest.UsageError(f"--sway-samples={text}: write a number from 1 to 1000, e.g. 10")
    return int(text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
