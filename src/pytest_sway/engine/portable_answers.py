"""Answers that travel in a pack: by what the models read, whatever machine answered.

On disk (:mod:`pytest_sway.engine.disk_cache`) an answer's key names the machine's arithmetic too, since
another one answers otherwise in the last digits. A pack replays the answers of the machine that made it, so
its keys do not; the report says so. JSON lines; nothing is run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pytest_sway.engine.disk_cache import from_json, to_json
from pytest_sway.engine.noise_floor import NoiseFloor
from pytest_sway.regular_files import open_regular
from pytest_sway.requests import Request
from pytest_sway.text.width import clean
from pytest_sway.user_error import UserError

FILE = "portable-answers.jsonl"
"""In the folder of the answers that are kept."""
_FORMAT = 1
_KEY_HEX = 32
_LONGEST_LINE, _LONGEST_ORIGIN = 1 << 20, 400


@dataclass(frozen=True)
class PortableFloor:
    """A noise floor, and of what.

    Attributes:
        base: digest of the base model.
        variant: how it is scored.
        value: the floor.
    """

    base: str
    variant: str
    value: NoiseFloor


class PortableAnswersError(UserError):
    """A file of answers cannot be read; the message says what is wrong with it."""


class PortableAnswers:
    """Answers by portable key.

    Args:
        texts: each answer as JSON.
        origin: dtype, processor and versions that answered.
        floor: noise floor of that machine; None where it was not measured.

    Attributes:
        used: how many were read.
    """

    def __init__(
        self,
        texts: Mapping[bytes, str] | None = None,
        origin: str = "",
        floor: PortableFloor | None = None,
    ) -> None:
        self._texts = dict(texts or {})
        self.origin = origin
        self.floor = floor
        self.used = 0

    def __len__(self) -> int:
        return len(self._texts)

    def noise_floor(self, base: str, variant: str) -> NoiseFloor | None:
        """The noise floor of a base model as it is scored; None where another one was measured."""
        floor = self.floor
        return floor.value if floor is not None and (floor.base, floor.variant) == (base, variant) else None

    def get(self, keys: Mapping[bytes, Request[Any]]) -> dict[bytes, Any]:
        """The answers that are known; one that does not read as its request's answer is not."""
        found: dict[bytes, Any] = {}
        for key, request in keys.items():
            text = self._texts.get(key)
            answer = from_json(request, text) if text is not None else None
            if answer is not None:
                found[key] = answer
        self.used += len(found)
        return found

    def put(self, answers: Mapping[bytes, Any]) -> None:
        """Record answers; what is not finite is no answer to record."""
        self._texts.update({key: text for key, answer in answers.items() if (text := to_json(answer))})

    def text(self) -> str:
        """The file's content, the same for the same answers in whatever order they came."""
        floor = asdict(self.floor) if self.floor is not None else None
        head = {"answers": len(self._texts), "format": _FORMAT, "noise_floor": floor, "origin": self.origin}
        lines = [json.dumps(head, sort_keys=True)]
        lines += [f'{{"{key.hex()}": {text}}}' for key, text in sorted(self._texts.items())]
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def read(cls, path: Path) -> PortableAnswers:
        """The answers of a file.

        Raises:
            PortableAnswersError: it cannot be read, or it is not what :meth:`text` wrote.
        """
        try:
            with open_regular(path) as file:
                return cls._of_lines(file)
        except OSError as error:
            raise PortableAnswersError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise PortableAnswersError(f"{path} is not a valid answers file of a pack: {error}") from None

    @classmethod
    def _of_lines(cls, file: BinaryIO) -> PortableAnswers:
        head = json.loads(_line(file))
        if head["format"] != _FORMAT:
            raise ValueError(f"format {head['format']!r} is not {_FORMAT}")
        answers = cls(origin=clean(str(head["origin"]))[:_LONGEST_ORIGIN], floor=_floor(head["noise_floor"]))
        for _ in range(int(head["answers"])):
            ((name, value),) = json.loads(_line(file)).items()
            if len(name) != _KEY_HEX:
                raise ValueError("the key of a line has the wrong length")
            answers._texts[bytes.fromhex(name)] = json.dumps(value)
        if file.read(1) or len(answers) != head["answers"]:
            raise ValueError("the number of answers differs from the number in the first line")
        return answers


def _line(file: BinaryIO) -> bytes:
    line = file.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ValueError("a line is truncated or too long")
    return line


def _floor(value: Any) -> PortableFloor | None:
    if value is None:
        return None
    divergence, logprob = value["value"]
    if not all(isinstance(one, float) and math.isfinite(one) and one >= 0 for one in (divergence, logprob)):
        raise ValueError("the noise floor must be two numbers ≥ 0")
    return PortableFloor(str(value["base"]), str(value["variant"]), NoiseFloor(divergence, logprob))
