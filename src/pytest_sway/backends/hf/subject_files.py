"""The files of a subject, which is an adapter, a fine-tuned model or both: found, checked and hashed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pytest_sway.backends.base import AdapterKey, BackendError, ModelKey
from pytest_sway.backends.hf.adapter_files.adapter_config import AdapterFiles, read_adapter_files
from pytest_sway.backends.hf.adapter_files.base_remarks import BaseRemarks, remarks_on_base
from pytest_sway.backends.hf.base_model.base_model import BaseModel
from pytest_sway.backends.hf.base_model.checkpoint import read_checkpoint
from pytest_sway.backends.hf.hub_cache import adapter_folder
from pytest_sway.backends.hf.model_files import (
    MODEL_FILES,
    eos_token_ids,
    model_folder,
    text_digest,
)
from pytest_sway.backends.hf.prompts.vocabulary import has_own_code
from pytest_sway.backends.hf.unchanged_files import UnchangedFiles
from pytest_sway.spec.adapter_file_checks import is_mlx_folder
from pytest_sway.spec.adapter_folders import ADAPTER_CONFIG, ADAPTER_WEIGHTS, MLX_WEIGHTS
from pytest_sway.text.message_parts import shorten_list

_HASHED = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)


@dataclass(frozen=True)
class SubjectFiles:
    """The files of a subject.

    Attributes:
        files: the adapter's; None for a full fine-tune without one.
        model: folder of the fine-tuned model; None where the adapter is on the base itself.
        digest: of all of them.
        unchanged: tells whether they are still those that were hashed.
        trust_remote_code: whether the spec lets the fine-tuned model bring its own code.
    """

    files: AdapterFiles | None
    model: Path | None
    digest: str
    unchanged: tuple[UnchangedFiles, ...] = ()
    trust_remote_code: bool = False

    @property
    def tokenizer(self) -> Path | None:
        """The folder with a tokenizer of the subject's own: the adapter's, else the model's."""
        folders = [self.files.folder if self.files else None, self.model]
        return next((f for f in folders if f and (f / "tokenizer_config.json").is_file()), None)

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """Tokens that end what the fine-tuned model writes: a chat model has others than its base."""
        return frozenset() if self.model is None else frozenset(eos_token_ids(self.model))

    @property
    def notes(self) -> tuple[str, ...]:
        """How its files were read, and which adapters its subfolders hold."""
        if self.files is None:
            return ()
        if not self.files.below:
            return self.files.notes
        below = shorten_list(list(self.files.below))
        only = (
            f"only the adapter directly in the folder {self.files.folder.name} is evaluated; to evaluate an "
            f"adapter in a subfolder, set models.ft.adapter to that subfolder ({below})"
        )
        return (*self.files.notes, only)

    def check_unchanged(self) -> None:
        """Compare the files with what was hashed, after everything was read from them.

        Raises:
            BackendError: they changed.
        """
        for one in self.unchanged:
            one.check()

    @property
    def label(self) -> str:
        """The subject as the subject of a sentence."""
        return f"the adapter {self}" if self.files is not None else f"the fine-tuned model {self}"

    def weight_files(self) -> tuple[Path, ...]:
        """Every file that its tensors are read from."""
        own = (self.files.weights,) if self.files is not None else ()
        return own if self.model is None else (*own, *read_checkpoint(self.model).files)

    def __str__(self) -> str:
        return str(self.files.folder if self.files else self.model)


def find_subject_files(key: AdapterKey, *, trust_remote_code: bool = False) -> SubjectFiles:
    """Find, check and hash the files; no tensor is read.

    ``trust_remote_code``: whether the spec lets models bring their own code.

    Raises:
        BackendError: nothing is named, or what is named cannot be served.
    """
    if key.path is None and key.model is None:
        raise BackendError("models.ft.adapter is missing: set it to an adapter folder")
    files, unchanged = None, list[UnchangedFiles]()
    if key.path is not None:
        own = Path(adapter_folder(key.path, trust_remote_code=trust_remote_code))
        is_mlx = is_mlx_folder(own)
        patterns = (ADAPTER_CONFIG, MLX_WEIGHTS) if is_mlx else _hashed_patterns(own)
        unchanged.append(UnchangedFiles(own, patterns))
        files = _read_as_peft(own) if is_mlx else read_adapter_files(str(own))
    model = None
    if key.model is not None:
        tuned = ModelKey("hf", key.model, key.revision, trust_remote_code=trust_remote_code)
        model = model_folder(tuned)
        unchanged.insert(0, UnchangedFiles(model, MODEL_FILES))
    try:
        digests = [one.digest() for one in unchanged]
    except OSError as error:
        named = files.folder if files else model
        raise BackendError(f"the adapter {named} cannot be read: {error}") from error
    digest = digests[0] if len(digests) == 1 else text_digest(":".join(digests))
    return SubjectFiles(files, model, digest, tuple(unchanged), trust_remote_code)


def _read_as_peft(folder: Path) -> AdapterFiles:
    """An adapter of mlx-lm; its digest is the one that it has with ``kind: mlx``."""
    try:
        from pytest_sway.backends.mlx.convert import converted_folder
    except ImportError as error:
        raise BackendError(
            f"models.ft.adapter: {folder} is an mlx-lm adapter; to read it, install {error.name}: pip "
            "install 'pytest-sway[mlx]'"
        ) from error
    files = read_adapter_files(str(converted_folder(folder)))
    note = f"{folder} is an mlx-lm adapter; it was converted to PEFT format in {files.folder}"
    return replace(files, notes=(note, *files.notes))


def _hashed_patterns(folder: Path) -> tuple[str, ...]:
    """Patterns of the files whose content identifies an adapter; a tokenizer's own code is one of them."""
    return (*_HASHED, "*.py") if has_own_code(folder) else _HASHED


def subject_notes(source: SubjectFiles, base: BaseModel) -> BaseRemarks:
    """Adapters in the models' folders that are not loaded, and the base that the adapter names."""
    files = source.files
    own = files.folder if files is not None else None
    tuned = read_checkpoint(source.model) if source.model is not None else None
    checkpoints = [checkpoint for checkpoint in (base.checkpoint, tuned) if checkpoint is not None]
    notes = [*base.notes, *(note for checkpoint in checkpoints for note in checkpoint.notes(own))]
    if files is None:
        return BaseRemarks((), tuple(notes))
    on = base if tuned is None else BaseModel("", name=str(source.model), checkpoint=tuned)
    found = remarks_on_base(files.folder, files.config, on)
    if tuned is not None and found.trained_base is not None:  # it is not the base that is loaded
        notes.append(found.trained_base.text)
        found = replace(found, trained_base=None)
    return replace(found, notes=(*notes, *found.notes))
