"""A ``.dlm`` file with everything that an evaluation of its adapter needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_sway.dlm.base_model import DlmBase, resolve_base
from pytest_sway.dlm.document import document_of
from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.reader import read_dlm
from pytest_sway.dlm.store import current_adapter, store_of
from pytest_sway.document import Document, Section


@dataclass(frozen=True)
class DlmHandle:
    """A document, its adapter and its base.

    Attributes:
        path: of the file.
        dlm_id: names its store.
        base: what the adapter is trained on.
        adapter_path: folder of its current version; None where it is not trained yet.
        adapter_name: in a document with several adapters; empty in one with a single adapter.
        document: what the adapter was trained on, and as controls what others were.
        system_prompt: empty without.
        notes: what of the file is not in ``document``, a sentence each.
    """

    path: Path
    dlm_id: str
    base: DlmBase
    adapter_path: Path | None
    adapter_name: str
    document: Document
    system_prompt: str
    notes: tuple[str, ...]

    @property
    def base_model(self) -> str:
        """The base's name on the hub, or its folder."""
        return self.base.name

    @property
    def sections(self) -> tuple[Section, ...]:
        """What the adapter was trained on."""
        return self.document.sections

    @property
    def doc_text(self) -> str:
        """The prose of the document."""
        return self.document.text


def resolve_dlm(path: Path | str, adapter: str | None = None) -> DlmHandle:
    """Read a document, and find its base model and the current version of its adapter.

    Args:
        path: of the ``.dlm`` file.
        adapter: which one, in a document with several; by default the first that the front matter declares.

    Raises:
        DlmError: the file cannot be read, its base cannot be resolved, or there is no such adapter.
    """
    path = Path(path)
    file, notes = read_dlm(path)
    name = _adapter_name(file.adapters, adapter)
    folder = current_adapter(store_of(file.dlm_id), name)
    found = document_of(file, name)
    return DlmHandle(
        path,
        file.dlm_id,
        resolve_base(file, folder, name),
        folder,
        name,
        found.document,
        file.system_prompt,
        (*notes, *found.notes),
    )


def _adapter_name(declared: tuple[str, ...], wanted: str | None) -> str:
    if wanted is None:
        return declared[0] if declared else ""
    if wanted not in declared:
        known = f"declared adapters: {', '.join(declared)}" if declared else "its only adapter has no name"
        raise DlmError(f"the document has no adapter {wanted!r}; {known}")
    return wanted
