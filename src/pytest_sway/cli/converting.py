"""``sway convert-adapter``: between the formats of PEFT and mlx-lm."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_sway.backends.hf.error_text import missing_package
from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import write_error, write_output
from pytest_sway.text import formatting


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="The adapter folder")
    parser.add_argument(
        "destination", metavar="DST", help="The output folder; it must be empty or not exist yet"
    )
    parser.add_argument(
        "--target", choices=("mlx", "peft"), default="mlx", help="Target format (default: mlx)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="Overwrite the contents of the output folder"
    )


def _run(parsed: argparse.Namespace) -> int:
    try:
        from pytest_sway.backends.mlx.adapter_content import ConversionError
        from pytest_sway.backends.mlx.convert import convert_adapter
    except ImportError as error:
        raise CommandError(missing_package("converting", error, "mlx")) from error
    source = Path(parsed.source)
    if not source.is_dir():
        raise CommandError(f"folder {source} does not exist; pass an adapter folder")
    try:
        done = convert_adapter(source, Path(parsed.destination), parsed.target, overwrite=parsed.overwrite)
    except ConversionError as error:
        raise CommandError(str(error), Exit.GATE_FAILED) from error
    sizes = [formatting.size(_bytes(folder)) for folder in (source, done.folder)]
    shape = f"{done.modules} modules, rank {done.rank}, scale {done.scale:g}"
    write_output(f"converted {source} ({sizes[0]}) to {done.folder} ({sizes[1]}): {shape}\n")
    for note in done.notes:
        write_error(f"note: {note}\n")
    return Exit.OK


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


CONVERT_ADAPTER = Command(
    "convert-adapter",
    "Convert an adapter between the PEFT and mlx-lm formats",
    "sway convert-adapter adapter adapter-mlx --target mlx",
    _arguments,
    _run,
)
