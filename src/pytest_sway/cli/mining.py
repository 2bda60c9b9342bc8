"""``sway mine``: wordings that an adapter does not know, and the prompts that it moves most."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.evaluating import spec_path
from pytest_sway.cli.output import check_writable, write_output, write_yaml

if TYPE_CHECKING:
    from pytest_sway.items.suite import Suite
    from pytest_sway.mining.meaning import MeaningFilter
    from pytest_sway.result import SuiteResult

_CORPUS = "public_domain_en"
_CHUNK_CHARS, _MOST_CHUNKS = 256, 64


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "spec", metavar="SPEC", help="The spec (sway.yaml) with the questions or prompts to start from"
    )
    parser.add_argument(
        "--mode",
        choices=("paraphrase", "outliers"),
        default="paraphrase",
        help="paraphrase (default): find wordings that weaken the adapter's effect; "
        "outliers: rank prompts by the divergence between base model and adapter",
    )
    parser.add_argument(
        "--out", "-o", metavar="FILE", help="Write the result as YAML to this file (default: standard output)"
    )
    parser.add_argument(
        "--top-k", type=int, default=10, metavar="K", help="Number of results of each kind (default: 10)"
    )
    parser.add_argument(
        "--n-candidates",
        type=int,
        default=50,
        metavar="N",
        help="Maximum number of wordings to measure per case (default: 50)",
    )
    parser.add_argument(
        "--from-corpus",
        metavar="NAME",
        help=f"Rank short parts of a packaged text corpus; the only one is {_CORPUS} "
        "(only with --mode outliers)",
    )
    parser.add_argument(
        "--from",
        dest="file",
        metavar="FILE",
        help="Rank the prompts in this file, one per line (only with --mode outliers)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="Random seed for choosing wordings (default: 0)"
    )
    parser.add_argument("--adapter", metavar="DIR", help="Use this adapter instead of the one in the spec")


def _run(parsed: argparse.Namespace) -> int:
    for option, value in (("top-k", parsed.top_k), ("n-candidates", parsed.n_candidates)):
        if value < 1:
            raise CommandError(f"--{option} {value}: write a number ≥ 1")
    pools = [name for name in ("from_corpus", "file") if getattr(parsed, name) is not None]
    if pools and parsed.mode == "paraphrase":
        raise CommandError("--from and --from-corpus work only with --mode outliers")
    if len(pools) > 1:
        raise CommandError("--from and --from-corpus are mutually exclusive; pass only one")
    check_writable("out", parsed.out, [parsed.spec, parsed.file])
    text = _paraphrases(parsed) if parsed.mode == "paraphrase" else _outliers(parsed)
    write_yaml(text, parsed.out)
    if parsed.out is not None:
        write_output(f"wrote {parsed.out}; its comments explain where to paste the list in {parsed.spec}\n")
    return Exit.OK


def _mined(parsed: argparse.Namespace, change: Callable[[Suite], Suite]) -> tuple[Suite, SuiteResult]:
    """The changed suite and its results; CommandError where a probe has none."""
    from pytest_sway.cli.changed_suite import ChangedSuite
    from pytest_sway.pytest_session import run_quietly

    mining = ChangedSuite(change)
    options = ["--sway-profile=standard"]  # quick would look at the first items alone
    options += [f"--sway-adapter={parsed.adapter}"] if parsed.adapter is not None else []
    result = run_quietly(spec_path(parsed.spec), options, mining)[0]
    assert mining.suite is not None
    if result.not_evaluated:
        raise CommandError(result.not_evaluated)
    for probe in result.probes:
        if "lifts" not in probe.evidence and "null_per_prompt" not in probe.evidence:
            raise CommandError(f"{probe.name}: {probe.message}")
    return mining.suite, result


def _paraphrases(parsed: argparse.Namespace) -> str:
    from pytest_sway.mining.mined_yaml import cases_text
    from pytest_sway.mining.paraphrases import mined_cases, paraphrase_entries, with_candidates
    from pytest_sway.probes.shared.optional_packages import why_missing

    has_embedder = not why_missing("semsim")
    used: list[MeaningFilter] = []

    def change(suite: Suite) -> Suite:
        questions = [case.prompt for e in paraphrase_entries(suite) for case in e.probe.options.cases]
        used.append(_filter(questions, has_embedder=has_embedder))
        return with_candidates(suite, parsed.n_candidates, parsed.seed, used[-1])

    suite, result = _mined(parsed, change)
    cases = [
        case
        for entry, probe in zip(suite.entries, result.probes, strict=True)
        for case in mined_cases(probe, entry.probe.options, parsed.top_k)
    ]
    if not cases:
        raise CommandError(
            f"{parsed.spec}: no wording was found that weakens the adapter's effect. Either the adapter "
            "improves no answer over the base model, or it improves the answers equally with every wording"
        )
    return cases_text(cases, suite.path.name, used[-1].rejected, has_embedder=has_embedder)


def _filter(questions: Sequence[str], *, has_embedder: bool) -> MeaningFilter:
    from pytest_sway.backends.embedder import SentenceEmbedder
    from pytest_sway.mining.meaning import MeaningFilter
    from pytest_sway.requests import DEFAULT_EMBEDDER

    if not has_embedder:
        return MeaningFilter(questions, None)
    embedder = SentenceEmbedder()
    return MeaningFilter(questions, lambda texts: embedder.embed(texts, DEFAULT_EMBEDDER))


def _outliers(parsed: argparse.Namespace) -> str:
    from pytest_sway.mining.mined_yaml import outliers_text
    from pytest_sway.mining.outliers import ranked, spec_prompts, with_pool

    given = _given_pool(parsed)

    def change(suite: Suite) -> Suite:
        return with_pool(suite, given or spec_prompts(suite), parsed.top_k)

    suite, result = _mined(parsed, change)
    options = suite.entries[0].probe.options
    return outliers_text(ranked(result.probes[0], options.prompts), parsed.top_k, suite.path.name, "delta_kl")


def _given_pool(parsed: argparse.Namespace) -> list[str]:
    """The prompts of ``--from`` or ``--from-corpus``; empty where neither is given."""
    from pytest_sway.cli.checking import read_prompts
    from pytest_sway.data.packaged_texts import passages

    if parsed.file is not None:
        return read_prompts(Path(parsed.file))
    if parsed.from_corpus is None:
        return []
    if parsed.from_corpus != _CORPUS:
        raise CommandError(
            f"--from-corpus {parsed.from_corpus}: unknown corpus; the only corpus is {_CORPUS}"
        )
    text = "\n".join(passage.text for passage in passages())
    pieces = [text[at : at + _CHUNK_CHARS] for at in range(0, len(text), _CHUNK_CHARS)]
    step = max(1, len(pieces) // _MOST_CHUNKS)
    return pieces[::step][:_MOST_CHUNKS]


MINE = Command(
    "mine",
    "Find wordings that weaken the adapter's effect, or prompts on which it differs most from the base model",
    "sway mine sway.yaml --mode paraphrase -o mined.yaml",
    _arguments,
    _run,
)
