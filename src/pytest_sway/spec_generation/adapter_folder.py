"""What an adapter's folder says: the base that it was trained on, and what training left beside it."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_sway.regular_files import read_regular
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, missing_config
from pytest_sway.spec.hub_names import HubName
from pytest_sway.spec.path_lookup import is_folder
from pytest_sway.spec_generation.data_error import DataError
from pytest_sway.spec_generation.row_sample import MOST_ROW_CHARS
from pytest_sway.spec_generation.suite_entries import TrainingFiles
from pytest_sway.training.errors import AmbiguousRunError, TrainingDataError
from pytest_sway.training.log_discovery import find_logs
from pytest_sway.training.optimizer_discovery import find_optimizer

_MOST_BYTES = 8 * 1024 * 1024
_CHARS_PER_TOKEN = 2
_GIVE_BASE = "pass the base model with --base"


def find_base(adapter: Path, given: str | None) -> str:
    """The base model of an adapter: the one that is given, else the one that its config names.

    PEFT writes ``base_model_name_or_path``, mlx-lm ``model``. A relative path is looked up below the
    adapter's folder and in the working directory.

    Returns:
        An absolute folder, or a name on the hub.

    Raises:
        DataError: the folder is no adapter, or the base is not named, or not on this machine.
    """
    file = adapter / ADAPTER_CONFIG
    if not adapter.is_dir():
        raise DataError(f"there is no folder {adapter}; pass an adapter folder")
    if not file.is_file():
        raise DataError(f"{adapter} {missing_config(adapter)}")
    if given is not None:
        return named_model(given, "--base")
    named = _named_base(file)
    if is_folder(adapter / named):
        return str((adapter / named).resolve())
    try:
        return named_model(named, "")
    except DataError:
        raise DataError(
            f"the adapter's base model cannot be found: {file} sets it to {named}, but this folder does not "
            f"exist; {_GIVE_BASE}"
        ) from None


def named_model(named: str, option: str) -> str:
    """An absolute folder, or a name on the hub.

    Raises:
        DataError: it is neither; ``option`` named it.
    """
    folder = Path(named).expanduser()
    if is_folder(folder):
        return str(folder.resolve())
    if HubName.of(named) is None:
        raise DataError(f"{option} {named}: there is no such folder, and this is not a Hub name (org/name)")
    return named


def _named_base(file: Path) -> str:
    """What an adapter's config names as its base.

    Raises:
        DataError: nothing, or the config cannot be read.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DataError(f"{file}: {file.stat().st_size / 1e6:.0f} MB is too large for an adapter config")
        config = json.loads(read_regular(file, _MOST_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read: {error}") from None
    named = config.get("base_model_name_or_path") or config.get("model") if isinstance(config, dict) else None
    if not isinstance(named, str) or not named:
        raise DataError(f"{file} does not set a base model (base_model_name_or_path); {_GIVE_BASE}")
    return named


def longest_dialogue(base: str) -> int:
    """How many characters of a dialogue a base can surely read, by the context that its config names.

    Two characters a token are few for running text; where the base is not on this machine, or says nothing,
    it is :data:`~pytest_sway.spec_generation.row_sample.MOST_ROW_CHARS`.
    """
    try:
        config = json.loads(read_regular(Path(base) / "config.json").decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return MOST_ROW_CHARS
    parts = [config, config.get("text_config")] if isinstance(config, dict) else []
    found = [part.get("max_position_embeddings") for part in parts if isinstance(part, dict)]
    contexts = [one for one in found if isinstance(one, int) and not isinstance(one, bool) and one > 0]
    return min([MOST_ROW_CHARS, *(_CHARS_PER_TOKEN * one for one in contexts)])


def training_files(adapter: Path) -> TrainingFiles:
    """Which files the pre-run probes would find; of several runs none is certain, and none counts."""
    return TrainingFiles(_has_optimizer_state(adapter), _has_log(adapter))


def _has_optimizer_state(adapter: Path) -> bool:
    try:
        found = find_optimizer(adapter)
    except (AmbiguousRunError, TrainingDataError, OSError):
        return False
    return found is not None and found.kept


def _has_log(adapter: Path) -> bool:
    try:
        return find_logs(adapter, adapter, named=False) is not None
    except (AmbiguousRunError, TrainingDataError, OSError):
        return False
