"""Regular expressions in an adapter's config, tried within a time limit before PEFT uses them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_sway.backends.base import BackendError
from pytest_sway.computing_limits import LimitExceeded, limited_time
from pytest_sway.text.message_parts import describe

_SECONDS = 3.0
"""Of the processor, for an expression and the names of a chunk; usual ones take milliseconds."""
_CHUNK = 1000
_SECONDS_IN_ALL = 30.0
"""For all expressions of a config with all modules of a model, which may be tens of thousands."""
_FORMS = {
    "target_modules": "{}",
    "exclude_modules": "{}",
    "layers_pattern": r"(?:.*\.)?(?:{})\.(?P<idx>\d+)\..*",
    "rank_pattern": r"(.*\.)?({})",
    "alpha_pattern": r"(.*\.)?({})",
    "modules_to_save": r"(^|.*\.)({})($|\..*)",
}
"""How PEFT completes what stands in a field before it compares it with a whole name."""
_PLAIN = re.compile(r"[\w.\\^$-]*")
"""What repeats nothing takes no time."""


def check_patterns(where: object, config: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse expressions that take too long to be compared with the modules of a model.

    Args:
        where: the adapter, for the message.
        config: its ``adapter_config.json``.
        names: of the model's modules.

    Raises:
        BackendError: an expression does not end (as ``(a+)+b`` does not on a long name).
    """
    field, text = "", ""
    try:
        with limited_time(_SECONDS_IN_ALL):
            for field, text in _expressions(config):
                _compare(_FORMS[field].format(text), names)
    except LimitExceeded as error:
        raise BackendError(
            f"{where}: {field} in adapter_config.json contains the regular expression {describe(text)}, but "
            f"comparing it with the names of the base model's modules {str(error).removeprefix('it ')}; "
            "list the names of the modules instead"
        ) from error


def _expressions(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each field with its expressions that repeat something; PEFT reads lists of target modules as names."""
    for field in _FORMS:
        value = config.get(field) or ()
        if isinstance(value, str):
            found: Iterable[Any] = [value]
        else:
            found = () if field in ("target_modules", "exclude_modules") else value
        if isinstance(found, Iterable):
            yield from ((field, one) for one in found if isinstance(one, str) and not _PLAIN.fullmatch(one))


def _compare(expression: str, names: Sequence[str]) -> None:
    try:
        with limited_time(_SECONDS):
            compiled = re.compile(expression)
    except (re.error, RecursionError, OverflowError):
        return  # PEFT refuses it, too
    for start in range(0, len(names), _CHUNK):
        with limited_time(_SECONDS):
            for name in names[start : start + _CHUNK]:
                compiled.fullmatch(name)
