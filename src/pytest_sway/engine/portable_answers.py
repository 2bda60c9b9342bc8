"""Answers that travel in a pack: by what the models read, whatever machine answered.

On disk (:mod:`pytest_sway.engine.disk_cache`) an answer's key names the machine's arithmetic too, since
another one answers otherwise in the last digits. A pack replays the answers of the machine that made it, so
its keys do not; the report says so. JSON lines; nothing is run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_sway.engine.disk_cache import from_json, to_json
from pytest_sway.engine.noise_floor import NoiseFloor
from pytest_sway.requests import Request

FILE = "portable-answers.jsonl"
"""In the folder of the answers that are kept."""
MAX_BYTES = 512 << 20
_FORMAT = 1
_KEY_HEX = 32


class PortableAnswersError(Exception):
    """A file of answers cannot be read; the message says what is wrong with it."""


class PortableAnswers:
    """Answers by portable key.

    Args:
        texts: each answer as JSON.
        origin: dtype, processor and versions that answered.
        noise_floor: of that machine; None where it was not measured.

    Attributes:
        used: how many were read.
    """

    def __init__(
        self,
        texts: Mapping[bytes, str] | None = None,
        origin: str = "",
        noise_floor: NoiseFloor | None = None,
    ) -> None:
        self._texts = dict(texts or {})
        self.origin = origin
        self.noise_floor = noise_floor
        self.used = 0

    def __len__(self) -> int:
        return len(self._texts)

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
        floor = list(self.noise_floor) if self.noise_floor is not None else None
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
            if path.stat().st_size > MAX_BYTES:
                raise PortableAnswersError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise PortableAnswersError(f"{path} cannot be read: {error}") from None
        try:
            head = json.loads(lines[0])
            answers = cls(origin=str(head["origin"]), noise_floor=_noise_floor(head["noise_floor"]))
            if head["format"] != _FORMAT or head["answers"] != len(lines) - 1:
                raise ValueError("its first line names another format or number of answers")
            for line in lines[1:]:
                ((name, value),) = json.loads(line).items()
                if len(name) != _KEY_HEX:
                    raise ValueError(f"{name[:_KEY_HEX]!r} is no key")
                answers._texts[bytes.fromhex(name)] = json.dumps(value)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise PortableAnswersError(f"{path}: these are no answers of a pack: {error}") from None
        return answers


def _noise_floor(value: Any) -> NoiseFloor | None:
    if value is None:
        return None
    divergence, logprob = value
    if not all(isinstance(one, float) and math.isfinite(one) and one >= 0 for one in (divergence, logprob)):
        raise ValueError("the noise floor is not two numbers from 0 on")
    return NoiseFloor(divergence, logprob)
