"""The tokenizer that base and adapter share, and whether their vocabularies can be compared by token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.error_text import error_line, first_line
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.tokenizer_rules import checked_tokenizer
from pytest_sway.regular_files import read_regular

_TOKENIZER_CONFIG = "tokenizer_config.json"
RESIZE_ADVICE = (
    "save the base model with the vocabulary used in training (resize_token_embeddings, then save_pretrained "
    "for model and tokenizer), and set models.base.base and models.ft.base to that folder"
)
"""What to do where the two sides have different vocabularies."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer of both sides, checked to give the same ids the same meaning.

    Attributes:
        tokens: the tokenizer for both sides.
        needed_rows: rows of an embedding that the ids of both tokenizers need.
        has_own_tokenizer: whether the subject has a tokenizer of its own.
        notes: where the two tokenizers differ without harm.
    """

    tokens: PromptTokenizer
    needed_rows: int
    has_own_tokenizer: bool = False
    notes: tuple[str, ...] = ()


def shared_vocabulary(
    base: PromptTokenizer, folder: Path | None, rows: int, trust_remote_code: bool = False
) -> Vocabulary:
    """The base's tokenizer, or the one in the subject's folder.

    Its rules and its chat template may differ. Every id of both tokenizers must have a row in the base's
    embedding, and mean the same where both know it.

    Args:
        base: the base's tokenizer.
        folder: with the subject's own tokenizer; None where it brings none.
        rows: of the base's embedding.
        trust_remote_code: whether a tokenizer's own code may be run.

    Raises:
        BackendError: it cannot be loaded, or the vocabularies cannot be compared.
    """
    ours = base.tokenizer.get_vocab()
    if folder is None:
        return Vocabulary(base, _rows_needed_by(ours))
    own = _load_own_tokenizer(folder, trust_remote_code)
    theirs = own.get_vocab()
    if (differing := _first_difference(ours, theirs)) is not None:
        raise BackendError(
            "the base model and the adapter cannot be compared token by token, because the tokenizer in "
            f"{folder} differs from the base model's tokenizer: {differing}. Use the base model and the "
            "tokenizer that the adapter was trained with"
        )
    needed_rows = max(_rows_needed_by(ours), _rows_needed_by(theirs))
    if theirs != ours and _rows_needed_by(theirs) > rows:
        token, index = max(theirs.items(), key=lambda pair: pair[1])
        raise BackendError(
            f"the tokenizer in {folder} contains {token!r} with the id {index}, but the base model's "
            f"embedding has only {rows} rows (0 to {rows - 1}); {RESIZE_ADVICE}"
        )
    return Vocabulary(base.with_tokenizer(own), needed_rows, True, tuple(_notes(ours, theirs)))


def check_no_further_rows(vocabulary: Vocabulary, source: object, rows: int) -> None:
    """Raise BackendError for tokens of the subject's own, where the embedding cannot be given further rows.

    Args:
        vocabulary: of base and subject.
        source: the subject, for the message.
        rows: of the base's embedding.
    """
    if vocabulary.has_own_tokenizer and vocabulary.needed_rows > rows:
        raise BackendError(
            f"the tokenizer of {source} needs an embedding with {vocabulary.needed_rows} rows, but the base "
            f"model's embedding has only {rows}. For an adapter with additional tokens, use kind: hf"
        )


def load_tokenizer(key: ModelKey, folder: Path) -> Any:
    """The tokenizer of a base model.

    Raises:
        BackendError: it cannot be loaded.
    """
    try:
        return checked_tokenizer(
            AutoTokenizer.from_pretrained(folder, trust_remote_code=key.trust_remote_code)
        )
    except Exception as error:
        raise BackendError(
            f"the tokenizer of the base model {key.base} cannot be loaded: {error_line(error)}"
        ) from error


def has_own_code(folder: Path) -> bool:
    """Whether the tokenizer in a folder has code of its own."""
    try:
        config = json.loads(read_regular(folder / _TOKENIZER_CONFIG))
        return "AutoTokenizer" in config.get("auto_map", {})
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False


def _load_own_tokenizer(folder: Path, trust_remote_code: bool) -> Any:
    """The tokenizer in a folder; its own code is run only where the spec says so."""
    try:
        return checked_tokenizer(AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code))
    except Exception as error:
        if has_own_code(folder) and not trust_remote_code:
            raise BackendError(
                f"the tokenizer in {folder} needs custom code (auto_map in {_TOKENIZER_CONFIG}). If "
                "you trust it, set trust_remote_code: true for models.base and models.ft. Otherwise, delete "
                "the tokenizer files in this folder to use the base model's tokenizer"
            ) from error
        raise BackendError(f"the tokenizer in {folder} cannot be loaded: {first_line(error)}") from error


def _rows_needed_by(vocabulary: Mapping[str, int]) -> int:
    return max(vocabulary.values(), default=-1) + 1


def _first_difference(ours: Mapping[str, int], theirs: Mapping[str, int]) -> str | None:
    """The lowest id that means one token here and another there, or the first token with two ids."""
    names = {index: token for token, index in ours.items()}
    clashes = [
        (index, 0, f"id {index} is {token!r}, but {names[index]!r} in the base model's tokenizer")
        for token, index in theirs.items()
        if index in names and names[index] != token
    ]
    moved = [
        (index, 1, f"{token!r} has the id {index}, but the id {ours[token]} in the base model's tokenizer")
        for token, index in theirs.items()
        if ours.get(token, index) != index
    ]
    return min(clashes + moved)[-1] if clashes or moved else None


def _notes(ours: Mapping[str, int], theirs: Mapping[str, int]) -> list[str]:
    """Tokens that one side alone knows."""
    notes = []
    for owner, other, extra in (
        ("the adapter's tokenizer", "the base model's tokenizer", theirs.keys() - ours.keys()),
        ("the base model's tokenizer", "the adapter's tokenizer", ours.keys() - theirs.keys()),
    ):
        if extra:
            index, token = min(({**ours, **theirs}[token], token) for token in extra)
            more = (
                f"{len(extra)} more tokens than {other} (first: "
                if len(extra) > 1
                else f"one more token than {other} ("
            )
            notes.append(
                f"{owner} has {more}{token!r}, id {index}); each id has an embedding row in both models"
            )
    return notes
