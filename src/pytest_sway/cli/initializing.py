"""``sway init``: a spec of an adapter and the file that it was trained on."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import check_writable, write_output, write_text


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "adapter",
        nargs="?",
        metavar="ADAPTER",
        help="The adapter folder; omit it for an adapter that is not trained yet",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="The training data: JSON lines, JSON, Parquet, Arrow, a datasets folder, text or Markdown",
    )
    parser.add_argument("--eval", metavar="FILE", help="Held-out data that the adapter was not trained on")
    parser.add_argument("--base", metavar="MODEL", help="The base model (default: from adapter_config.json)")
    parser.add_argument(
        "--out", "-o", metavar="FILE", default="sway.yaml", help="File to write (default: sway.yaml)"
    )
    parser.add_argument(
        "--max-rows", type=int, default=64, metavar="N", help="Use at most N rows of each file (default: 64)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="Random seed for sampling rows (default: 0)"
    )
    parser.add_argument("--force", action="store_true", help="Overwrite the spec without asking")


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.spec_generation.data_error import DataError

    if parsed.max_rows < 1:
        raise CommandError(f"--max-rows {parsed.max_rows}: write a number ≥ 1")
    if parsed.eval is not None and parsed.data is None:
        raise CommandError(
            "--eval needs --data, because the held-out rows are compared with the training data"
        )
    spec = Path(parsed.out)
    if any(part in parsed.out for part in ("[", "::")):
        raise CommandError(f"--out {spec}: pytest does not accept [ or :: in a path; choose another name")
    check_writable("out", parsed.out, [parsed.data, parsed.eval])
    _check_overwriting(spec, parsed.force)
    try:
        text, lines = _starter(parsed, spec) if parsed.data is None else _from_data(parsed, spec)
    except DataError as error:
        raise CommandError(str(error)) from error
    write_text(text, str(spec))
    write_output("".join(f"{line}\n" for line in lines))
    return Exit.OK


def _check_overwriting(spec: Path, force: bool) -> None:
    """Ask before a spec is overwritten.

    Raises:
        CommandError: the answer is no, or nobody is there to answer.
    """
    if force or not spec.exists():
        return
    if not sys.stdin.isatty():
        raise CommandError(
            f"{spec} already exists; overwrite it with --force, or choose another file with --out"
        )
    write_output(f"{spec} already exists. Overwrite it? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError(f"{spec} was not changed")


def _from_data(parsed: argparse.Namespace, spec: Path) -> tuple[str, list[str]]:
    from pytest_sway.spec_generation.generator import SpecInputs, generate_spec
    from pytest_sway.text.width import clean

    adapter, base = _models(parsed)
    held_out = Path(parsed.eval) if parsed.eval is not None else None
    made = generate_spec(
        SpecInputs(spec, base, adapter, Path(parsed.data), held_out, parsed.max_rows, parsed.seed)
    )
    lines = [*map(clean, made.notes)]
    lines.append(f"wrote {spec} with {len(made.kinds)} probes; comments in the file explain each one")
    if made.left_out:
        lines.append(f"probes not included: {', '.join(made.left_out)} (the end of the file explains why)")
    return made.text, [*lines, f"next: {shlex.join(['sway', 'run', str(spec)])}"]


def _starter(parsed: argparse.Namespace, spec: Path) -> tuple[str, list[str]]:
    from pytest_sway.spec_generation.starter import starter_spec

    adapter, base = _models(parsed)
    line = (
        f"wrote a starter spec to {spec}; replace its prompts with your own, or run sway init with your "
        "training data (--data FILE)"
    )
    return starter_spec(spec, base, adapter), [line]


def _models(parsed: argparse.Namespace) -> tuple[Path | None, str]:
    """The adapter, and its base."""
    from pytest_sway.spec_generation.adapter_folder import find_base, named_model
    from pytest_sway.spec_generation.starter import EXAMPLE_BASE

    if parsed.adapter is None:
        return None, named_model(parsed.base, "--base") if parsed.base is not None else EXAMPLE_BASE
    adapter = Path(parsed.adapter)
    return adapter, find_base(adapter, parsed.base)


INIT = Command(
    "init",
    "Write a spec for an adapter and its training data",
    "sway init run/adapter --data train.jsonl --eval eval.jsonl",
    _arguments,
    _run,
)
