"""Foreign text, escaped for each place of the page: HTML, labels of plotly, a script element."""

from __future__ import annotations

import html
import json
from typing import Any

from pytest_sway.text import formatting


def escape_html(text: object) -> str:
    """For HTML, between tags and in attributes."""
    return html.escape(_encodable(str(text)), quote=True)


def escape_label(text: str, longest: int = 10_000) -> str:
    """For plotly, which reads tags and entities in labels; on one line, cut at ``longest`` characters."""
    line = " ".join(_encodable(text).split())
    visible = line if len(line) <= longest else line[: longest - 1] + "…"
    return html.escape(visible, quote=False).replace("$", "&#36;")  # else it looks for MathJax


def script_json(value: Any) -> str:
    """JSON for a ``script`` element: no character in it can end the element or begin another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def text_tree(value: Any) -> Any:
    """JSON data with every leaf as the text that is shown."""
    if isinstance(value, dict):
        return {_encodable(str(key)): text_tree(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [text_tree(item) for item in value]
    if value is None:
        return formatting.DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return formatting.raw(value) if isinstance(value, float) else _encodable(str(value))


def _encodable(text: str) -> str:
    """Half a surrogate pair, which JSON can hold and UTF-8 cannot, as a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
