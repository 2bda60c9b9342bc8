"""``sway convert-adapter``: between the formats of PEFT and mlx-lm."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_sway.backends.hf.error_text import missing_package
from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.text import formatting


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="An adapter's folder")
    parser.add_argument("destination", metavar="DST", help="A folder that does not exist, or is empty")
    parser.add_argument("--target", choices=("mlx", "peft"), default="mlx", help="Default: mlx")
    parser.add_argument("--overwrite", action="store_true", help="Replace what the destination holds")


def _run(parsed: argparse.Namespace) -> int:
    try:
        from pytest_sway.backends.mlx.adapter_content import ConversionError
        from pytest_sway.backends.mlx.convert import convert_adapter
    except ImportError as error:
        raise CommandError(missing_package("converting", error, "mlx")) from error
    source = Path(parsed.source)
    if not source.is_dir():
        raise CommandError(f"there is no folder {source}; give an adapter's folder")
    try:
        done = convert_adapter(source, Path(parsed.destination), parsed.target, overwrite=parsed.overwrite)
    except ConversionError as error:
        raise CommandError(str(error), Exit.GATE_FAILED) from error
    sizes = [formatting.size(_bytes(folder)) for folder in (source, done.folder)]
    shape = f"{done.modules} modules, rank {done.rank}, scale {done.scale:g}"
    sys.stdout.write(f"{source} ({sizes[0]}) → {done.folder} ({sizes[1]}): {shape}\n")
    for note in done.notes:
        sys.stderr.write(f"note: {note}\n")
    return Exit.OK


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


CONVERT_ADAPTER = Command(
    "convert-adapter",
    "Convert an adapter between the formats of PEFT and mlx-lm",
    "sway convert-adapter adapter adapter-mlx --target mlx",
    _arguments,
    _run,
)
