"""The chat template of a spec: its file and its arguments. Standard library only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from pytest_sway.regular_files import read_regular
from pytest_sway.spec.path_lookup import find_path
from pytest_sway.text.message_parts import describe

_SET_BY_US = frozenset({
    "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "conversations",
    "documents", "max_length", "messages", "padding", "processor_kwargs", "return_assistant_tokens_mask",
    "return_dict", "return_tensors", "sanitize_control_tokens", "strftime_now", "tokenize",
    "tokenizer_kwargs", "tools", "truncation",
})  # fmt: skip
"""Arguments of ``apply_chat_template`` itself, and the parts of a prompt."""
MOST_BYTES = 4 << 20


def check_reserved_arguments(names: Collection[str]) -> None:
    """Raise ValueError where a spec must not set one of these arguments."""
    taken = sorted(_SET_BY_US & set(names))
    if taken:
        raise ValueError(f"{taken[0]!r} is set by pytest-sway itself; remove it")
    wrong = next((name for name in names if not name.isidentifier()), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is not a valid template variable name")


def template_file(name: str | None, roots: Sequence[Path]) -> Path | None:
    """The file of a chat template: below the spec's folder, else in the working directory."""
    return None if name is None else find_path(name, roots)


def why_no_template(path: Path | None) -> str:
    """Why a file cannot be read as a template; empty where it can, or without a file."""
    if path is None:
        return ""
    try:
        text = read_regular(path, MOST_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        return f"{path} is not UTF-8 text ({error.reason} at byte {error.start})"
    except IsADirectoryError:
        return f"{path} is a folder, not a template file"
    except OSError as error:
        if not isinstance(error, FileNotFoundError) and error.strerror:
            return f"{path} cannot be read: {error.strerror}"
        return _missing(path)
    except ValueError:
        return _missing(path)
    return "" if text.strip() else f"{path} is empty"


def _missing(path: Path) -> str:
    return (
        f"the file {describe(str(path))} does not exist or cannot be read. Write the path of a template "
        "relative to the folder of the spec"
    )
