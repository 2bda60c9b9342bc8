"""``sway autogen``: a spec of the adapter of a ``.dlm`` document."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import check_writable, write_output, write_text


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "dlm", metavar="DLM", help="The .dlm document; its adapter is read from the dlm store"
    )
    parser.add_argument(
        "--out", "-o", metavar="FILE", default="sway.yaml", help="File to write (default: sway.yaml)"
    )
    parser.add_argument(
        "--adapter",
        metavar="NAME",
        help="Name of the adapter, if the document has several (default: the first)",
    )
    parser.add_argument("--force", action="store_true", help="Overwrite the spec even if it was edited")


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.dlm.errors import DlmError
    from pytest_sway.dlm.resolve import resolve_dlm
    from pytest_sway.spec_generation.data_error import DataError
    from pytest_sway.spec_generation.dlm_spec import generate_dlm_spec
    from pytest_sway.text.width import clean

    spec = Path(parsed.out)
    if any(part in parsed.out for part in ("[", "::")):
        raise CommandError(f"--out {spec}: pytest does not accept [ or :: in a path; choose another name")
    check_writable("out", parsed.out, [parsed.dlm])
    if not parsed.force:
        _check_unedited(spec)
    try:
        made = generate_dlm_spec(resolve_dlm(parsed.dlm, parsed.adapter), spec)
    except DlmError as error:
        place = f"{parsed.dlm}:{error.line}" if error.line else parsed.dlm
        raise CommandError(f"{place}: {error.message}") from error
    except DataError as error:
        raise CommandError(str(error)) from error
    write_text(made.text, str(spec))
    lines = [
        *map(clean, made.notes),
        f"wrote {spec} with {len(made.kinds)} probes; comments in the file explain each one",
    ]
    if made.left_out:
        lines.append(f"probes not included: {', '.join(made.left_out)} (the end of the file explains why)")
    lines.append(f"next: {shlex.join(['sway', 'run', str(spec)])}")
    write_output("".join(f"{line}\n" for line in lines))
    return Exit.OK


def _check_unedited(spec: Path) -> None:
    """Raise CommandError where a spec stands there that somebody wrote."""
    from pytest_sway.spec_generation.dlm_spec import is_edited

    if not spec.exists():
        return
    try:
        edited = is_edited(spec.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        edited = True
    if edited:
        raise CommandError(
            f"{spec} exists and was edited; overwrite it with --force, or choose another file with --out"
        )


AUTOGEN = Command(
    "autogen",
    "Write a spec from a .dlm document and the adapter that dlm trained on it",
    "sway autogen harbour.dlm -o sway.yaml",
    _arguments,
    _run,
)
