"""Reads ``.dlm`` files: with the installed dlm, or by this package's own reader of the format."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.dlm.errors import DlmError
from pytest_sway.dlm.fences import read_sections
from pytest_sway.dlm.front_matter import read_front_matter, split_front_matter
from pytest_sway.dlm.installed import IncompatibleDlm, installed_version, read_with_dlm
from pytest_sway.dlm.records import DlmFile
from pytest_sway.regular_files import read_regular

MAX_BYTES = 16 * 1024 * 1024
_BOM = "\ufeff"


def read_dlm(path: Path) -> tuple[DlmFile, list[str]]:
    """The document, and what should be known of how it was read.

    Where dlm is installed its own parser reads the file; where it is not, or where its functions are not
    those of dlm 0.10, this package's reader does.

    Raises:
        DlmError: no file, too large, no UTF-8, or no document.
    """
    text = _read_text(path)
    if installed_version() is None:
        return read_text(text, path), []
    try:
        return read_with_dlm(path), []
    except IncompatibleDlm as error:
        return read_text(text, path), [f"{error}; the document was read without dlm"]


def read_text(text: str, path: Path) -> DlmFile:
    """The document in a text with line feeds as line ends, by this package's reader.

    Raises:
        DlmError: it is no document.
    """
    yaml_text, body, first_line = split_front_matter(text)
    front = read_front_matter(yaml_text)
    return DlmFile(
        path,
        front.dlm_id,
        front.base_model,
        front.system_prompt,
        front.adapters,
        front.qlora,
        front.sources,
        tuple(read_sections(body, first_line)),
    )


def _read_text(path: Path) -> str:
    """UTF-8 without a byte order mark, any line ends as line feeds."""
    try:
        if path.exists() and not path.is_file():
            raise DlmError("the path is not a regular file; pass the path of a .dlm file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DlmError(f"the document has {size / 1e6:.1f} MB; the limit is {MAX_BYTES >> 20} MiB")
        text = read_regular(path, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DlmError(f"the document is not UTF-8 text: byte {error.start} is invalid") from None
    except OSError as error:
        raise DlmError(f"the document cannot be read: {error.strerror}") from None
    return text.removeprefix(_BOM).replace("\r\n", "\n").replace("\r", "\n")
