"""``sway pack`` and ``sway unpack``: a suite as one file that a coworker can repeat."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.atomic_files import ScratchFolder
from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.evaluating import PACK_SUFFIX, spec_path
from pytest_sway.cli.output import check_writable, write_content, write_output

if TYPE_CHECKING:
    from pytest_sway.packs.packing import Pack
    from pytest_sway.packs.unpacking import Unpacked

_MOST_SHOWN = 5


def _pack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="The sway.yaml")
    parser.add_argument(
        "--out",
        "-o",
        metavar="FILE",
        help=f"File to write (default: the name of the spec with the suffix {PACK_SUFFIX})",
    )
    parser.add_argument(
        "--include-adapter", action="store_true", help="Include the adapter files in the pack"
    )
    parser.add_argument(
        "--include-golden",
        metavar="FILE",
        help="Reference result to store in the pack (default: the result of this evaluation)",
    )
    parser.add_argument(
        "--include-null-cache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="Include the recorded answers, so that a run of the pack does not query the models",
    )
    parser.add_argument(
        "--max-size-mb",
        type=float,
        default=50.0,
        metavar="MB",
        help="Maximum size of the pack in MB (default: 50)",
    )


def _unpack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pack", metavar="PACK", help=f"The pack (*{PACK_SUFFIX})")
    parser.add_argument(
        "--out",
        "-o",
        metavar="DIR",
        default=".",
        help="Folder in which swaypack/ is created (default: the current folder)",
    )
    parser.add_argument(
        "--base", metavar="DIR", help="Folder of the base model, if it is not on the Hugging Face Hub"
    )
    parser.add_argument(
        "--adapter", metavar="DIR", help="Folder of the adapter, if the pack does not include it"
    )


def _pack(parsed: argparse.Namespace) -> int:
    from pytest_sway.items.suite import load_suite
    from pytest_sway.packs.errors import PackError
    from pytest_sway.packs.packing import begin_pack
    from pytest_sway.spec.problems import SpecError

    spec = spec_path(parsed.spec)
    out = Path(parsed.out if parsed.out is not None else f"{_plain_name(spec)}{PACK_SUFFIX}")
    if not out.name.endswith(PACK_SUFFIX):
        raise CommandError(f"--out {out}: the name of a pack must end with {PACK_SUFFIX}")
    check_writable("out", str(out), [parsed.spec, parsed.include_golden])
    if out.exists():
        raise CommandError(f"{out} already exists; remove it, or choose another file with --out")
    try:
        pack = begin_pack(spec, load_suite(spec), include_adapter=parsed.include_adapter)
        _measure(parsed, spec, pack)
        content = pack.archive()
    except (PackError, SpecError) as error:
        raise CommandError(str(error), Exit.GATE_FAILED) from error
    if len(content) > parsed.max_size_mb * 1e6:
        raise CommandError(
            f"the size of the pack is {len(content) / 1e6:.1f} MB, but --max-size-mb is "
            f"{parsed.max_size_mb:g}; raise the limit, or exclude the answers (--no-include-null-cache)",
            Exit.GATE_FAILED,
        )
    write_content(content, out)
    held = [f"{pack.manifest.answers:,} answers"] if pack.manifest.answers else []
    held += ["the adapter"] if parsed.include_adapter else []
    held += ["the result"]
    write_output(f"wrote {out} ({len(content) / 1e6:.2f} MB), which contains: {', '.join(held)}\n")
    write_output(f"next: {shlex.join(['sway', 'run', str(out), *_needed(parsed, pack)])}\n")
    return Exit.OK


def _plain_name(spec: Path) -> str:
    """``harbour`` of harbour.sway.yaml; ``sway`` of a name that has nothing before its suffixes."""
    return spec.name.removesuffix(spec.suffix).removesuffix(".sway").lstrip(".") or "sway"


def _needed(parsed: argparse.Namespace, pack: Pack) -> list[str]:
    """What a run of the pack must be given on another machine."""
    needed = ["--base", "DIR"] if pack.base is not None else []
    has_none = pack.adapter is not None and not parsed.include_adapter
    return [*needed, *(["--adapter", "DIR"] if has_none else [])]


def _measure(parsed: argparse.Namespace, spec: Path, pack: Pack) -> None:
    """Evaluate the suite, and again from the pack alone: what it says must be the same."""
    from pytest_sway.cli.pack_sessions import differing, record_answers, replay
    from pytest_sway.packs.errors import PackError
    from pytest_sway.packs.member_names import ANSWERS, GOLDEN
    from pytest_sway.packs.packing import golden_text
    from pytest_sway.reports.json_report import payload

    result, answers = record_answers(spec)
    places = _places(spec.resolve().parent, pack)
    if not parsed.include_null_cache:
        golden = golden_text(payload(result), places, pack.moment)
    else:
        pack.members[ANSWERS] = answers.text().encode()
        pack.manifest = replace(pack.manifest, answers=len(answers), versions={"answered by": answers.origin})
        with _unpacked(pack) as unpacked:
            again = replay(unpacked)
            if asked := again.backend_stats.get("forward_passes"):
                raise PackError(
                    "the pack was not written, because its recorded answers are incomplete: in a test run of "
                    f"the pack, the model still had to be called (number of forward passes: {asked:g})"
                )
            if differences := differing(payload(result), payload(again)):
                shown = "; ".join(differences[:_MOST_SHOWN])
                raise PackError(
                    f"the pack was not written, because it does not reproduce the result: {shown}"
                )
            golden = golden_text(payload(again), _places(unpacked.folder, pack), pack.moment)
    pack.members[GOLDEN] = _given_golden(parsed) or golden.encode()
    with _unpacked(pack):  # what is written can be read
        pass


def _places(folder: Path, pack: Pack) -> dict[str, str]:
    """Paths of this machine in a result, and what stands for them in a pack."""
    from pytest_sway.packs.member_names import ADAPTER, BASE, SPEC

    places = {f"{folder}{os.sep}": "", str(folder): SPEC}
    for name, path in ((BASE, pack.base), (ADAPTER, pack.adapter)):
        if path is not None:
            places |= {str(path): name, str(path.resolve()): name}
    return places


@contextmanager
def _unpacked(pack: Pack) -> Iterator[Unpacked]:
    """The pack as another machine would unpack it, with this machine's base and adapter."""
    from pytest_sway.packs.member_names import ADAPTER
    from pytest_sway.packs.unpacking import unpack

    with ScratchFolder("sway-pack-") as scratch:
        folder = Path(scratch).resolve()
        archive = folder / f"x{PACK_SUFFIX}"
        archive.write_bytes(pack.archive())
        has_adapter = any(name.startswith(f"{ADAPTER}/") for name in pack.members)
        yield unpack(archive, folder, base=pack.base, adapter=None if has_adapter else pack.adapter)


def _given_golden(parsed: argparse.Namespace) -> bytes | None:
    if parsed.include_golden is None:
        return None
    try:
        return Path(parsed.include_golden).read_bytes()
    except OSError as error:
        raise CommandError(
            f"--include-golden {parsed.include_golden} cannot be read: {error.strerror}"
        ) from error


def _unpack(parsed: argparse.Namespace) -> int:
    from pytest_sway.packs.errors import PackError
    from pytest_sway.packs.member_names import ANSWERS
    from pytest_sway.packs.unpacking import unpack

    pack = Path(parsed.pack)
    if not pack.is_file():
        raise CommandError(
            f"file {pack} does not exist; pass the path of a *{PACK_SUFFIX} file", Exit.GATE_FAILED
        )
    folders = {
        name: Path(getattr(parsed, name)) if getattr(parsed, name) is not None else None
        for name in ("base", "adapter")
    }
    try:
        found = unpack(pack, Path(parsed.out), **folders)
    except PackError as error:
        raise CommandError(f"{pack}: {error}; nothing was written", Exit.GATE_FAILED) from error
    maker = _writer(found.manifest.is_own)
    lines = [f"unpacked to {found.folder}; the pack was made at {found.manifest.packed_at} by {maker}"]
    lines += [
        f"the pack does not contain the {name}; create the symbolic link {found.folder / name} to its folder"
        for name in found.needs
    ]
    run = shlex.join(["sway", "run", str(found.spec)])
    answers = found.folder / Path(ANSWERS).parent
    has_answers = (found.folder / ANSWERS).is_file()
    lines.append(
        f"next: SWAY_NULL_CACHE_DIR={shlex.quote(str(answers))} {run}" if has_answers else f"next: {run}"
    )
    write_output("".join(f"{line}\n" for line in lines))
    return Exit.OK


def _writer(is_own: bool) -> str:
    return "pytest-sway" if is_own else "dlm-sway (its statistics on random (null) adapters are not used)"


PACK = Command(
    "pack",
    "Pack a suite, its answers and its result into one file, so that others can reproduce the result",
    "sway pack sway.yaml -o harbour.swaypack.tar.gz --include-adapter",
    _pack_arguments,
    _pack,
)
UNPACK = Command(
    "unpack",
    "Check and unpack a pack, and print the command that runs it",
    "sway unpack harbour.swaypack.tar.gz -o harbour",
    _unpack_arguments,
    _unpack,
)
