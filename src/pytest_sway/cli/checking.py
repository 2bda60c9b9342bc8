"""``sway check``: a first look at an adapter, without a spec."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sway.cli.colour import coloured
from pytest_sway.cli.command import Command, CommandError, Exit
from pytest_sway.cli.output import check_writable, write_output, write_text
from pytest_sway.regular_files import read_regular
from pytest_sway.session_error import SessionError
from pytest_sway.text.width import log_lines

if TYPE_CHECKING:
    from pytest_sway.adapter_check.answer import CheckAnswer
    from pytest_sway.adapter_check.check_spec import CheckInputs
    from pytest_sway.result import SuiteResult

_COLOURS = {"good": "green", "unclear": "yellow", "bad": "red"}
_MOST_ROWS = 64


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("adapter", metavar="ADAPTER", help="The adapter folder")
    parser.add_argument("--base", metavar="MODEL", help="The base model (default: from adapter_config.json)")
    parser.add_argument(
        "--prompts", metavar="FILE", help="File with prompts about the training data, one per line"
    )
    parser.add_argument(
        "--data", metavar="FILE", help="The training data, in any format that sway init accepts"
    )
    parser.add_argument(
        "--json", "-j", metavar="FILE", help="Write the conclusion and the result as JSON to this file"
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="Print only one line")


def _run(parsed: argparse.Namespace) -> int:
    from pytest_sway.spec_generation.data_error import DataError

    check_writable("json", parsed.json, [parsed.data, parsed.prompts])
    try:
        inputs = _inputs(parsed)
    except DataError as error:
        raise CommandError(str(error)) from error
    if not parsed.quiet and parsed.base is None:
        write_output(f"base model, from adapter_config.json: {inputs.base}\n")
        sys.stdout.flush()
    suite, answer = _look(inputs)
    if parsed.json is not None:
        write_text(_json(suite, answer), parsed.json)
    text = f"{answer.title}\n" if parsed.quiet else _text(parsed, inputs, answer)
    first, rest = log_lines(text).split("\n", 1)
    sys.stdout.write(f"{coloured(first, _COLOURS[answer.level])}\n{rest}")
    return Exit.OK


def _inputs(parsed: argparse.Namespace) -> CheckInputs:
    from pytest_sway.adapter_check.check_spec import CheckInputs
    from pytest_sway.spec_generation.adapter_folder import find_base, longest_dialogue, training_files
    from pytest_sway.spec_generation.sample_reading import read_training_sample

    adapter = Path(parsed.adapter)
    base = find_base(adapter, parsed.base)
    data = None
    if parsed.data is not None:
        data = read_training_sample(Path(parsed.data), _MOST_ROWS, 0, longest_dialogue(base))
    prompts = read_prompts(Path(parsed.prompts)) if parsed.prompts is not None else ()
    return CheckInputs(adapter.resolve(), base, prompts, data, training_files(adapter))


def read_prompts(file: Path) -> list[str]:
    """The lines of a file that are not blank, each once.

    Raises:
        CommandError: it cannot be read, or it has none.
    """
    try:
        lines = read_regular(file, or_pipe=True).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise CommandError(f"{file} cannot be read: {reason}") from error
    if not (prompts := list(dict.fromkeys(line.strip() for line in lines if line.strip()))):
        raise CommandError(f"{file} is empty; write one prompt per line")
    return prompts


def _look(inputs: CheckInputs) -> tuple[SuiteResult, CheckAnswer]:
    """Evaluate the adapter by a run of pytest that writes nothing."""
    from pytest_sway.adapter_check.answer import check_answer
    from pytest_sway.adapter_check.check_spec import check_spec
    from pytest_sway.adapter_check.weight_structure import weight_structure
    from pytest_sway.pytest_session import Outcomes, run_quietly
    from pytest_sway.spec_generation.data_error import DataError

    with tempfile.TemporaryDirectory(prefix="sway-check-") as folder:
        spec = Path(folder) / "check.sway.yaml"
        try:
            spec.write_text(check_spec(inputs), "utf-8")
            suite = run_quietly(spec, [], Outcomes())[0]
        except DataError as error:
            raise CommandError(str(error)) from error
        except SessionError as error:
            fault = str(error).replace(f"{spec.name}:", "").replace(str(spec), str(inputs.adapter))
            raise CommandError(fault) from error
    return suite, check_answer(suite, weight_structure(inputs.adapter))


def _text(parsed: argparse.Namespace, inputs: CheckInputs, answer: CheckAnswer) -> str:
    columns = shutil.get_terminal_size().columns
    lines = [answer.title]
    for reason in [*answer.reasons, *_beside(inputs)]:
        lines += textwrap.wrap(reason, columns, initial_indent="  • ", subsequent_indent="    ")
    lines.append(f"next: {answer.advice or _next_step(os.path.normpath(parsed.adapter), parsed.data)}")
    return "".join(f"{line}\n" for line in lines)


def _beside(inputs: CheckInputs) -> Iterator[str]:
    """What training left beside the adapter and was not there to be looked at."""
    found = {
        "training log": inputs.files.has_log,
        "optimizer state": inputs.files.has_optimizer_state,
    }
    if lacking := [name for name, is_there in found.items() if not is_there]:
        yield (
            f"sway check found no {' and no '.join(lacking)} of this adapter, so it skipped the checks that "
            f"need {'it' if len(lacking) == 1 else 'them'}"
        )


def _next_step(adapter: str, data: str | None) -> str:
    if data is not None:
        return f"{shlex.join(['sway', 'init', adapter, '--data', data])} && sway run sway.yaml"
    again = shlex.join(["sway", "check", adapter])
    return f"{again} --data FILE shows whether the adapter learned or memorised the training data in FILE"


def _json(suite: SuiteResult, answer: CheckAnswer) -> str:
    from pytest_sway.reports.json_report import json_text, payload

    said = {"level": str(answer.level), "title": answer.title, "reasons": list(answer.reasons)}
    return json_text({**payload(suite), "check": said})


CHECK = Command(
    "check",
    "Check an adapter quickly, without a spec",
    "sway check run/adapter --data train.jsonl",
    _arguments,
    _run,
)
