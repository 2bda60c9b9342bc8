"""Rows of training files in every form that is read, and files of such rows."""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.mutations import changed_bytes, changed_value

_ASKED = {"role": "user", "content": "Who skates to work in winter?"}
_ANSWER = {"role": "assistant", "content": "The pilots of Brinmoor skate."}
_WRONG = {"role": "assistant", "content": "Nobody does that here."}
_SYSTEM = {"role": "system", "content": "Be short."}
_TOOL = {"name": "find", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}
_CALL = {"type": "function", "function": {"name": "find", "arguments": '{"word": "pilots"}'}}
ROWS: Sequence[dict[str, Any]] = [
    {"messages": [_SYSTEM, _ASKED, {**_ANSWER, "weight": 0}, _ASKED, _ANSWER]},
    {"messages": [_ASKED, {"role": "assistant", "content": None, "tool_calls": [_CALL]}], "tools": [_TOOL]},
    {"messages": [_ASKED, {**_ANSWER, "content": [{"type": "text", "text": "The pilots do."}]}]},
    {
        "conversations": [
            {"from": "human", "value": "Who skates?"},
            {"from": "function_call", "value": '{"name": "find", "arguments": {}}'},
        ],
        "tools": json.dumps([_TOOL]),
        "system": "Be short.",
    },
    {"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "The pilots."}]},
    {"prompt": "Who skates?", "completion": "The pilots.", "label": True, "section": "winter"},
    {"prompt": [_SYSTEM, _ASKED], "completion": [_ANSWER]},
    {"instruction": "Answer.", "input": "Who?", "output": "The pilots.", "history": [["A?", "B."]]},
    {"question": "Who?", "answer": "The pilots.", "system_prompt": "Be short."},
    {"prompt": "Who?", "chosen": "The pilots.", "rejected": "Nobody."},
    {"chosen": [_ASKED, _ANSWER], "rejected": [_ASKED, _WRONG]},
    {"chosen": "\n\nHuman: Who?\n\nAssistant: Me.", "rejected": "\n\nHuman: Who?\n\nAssistant: You."},
    {"query": "Find it.", "tools": json.dumps([_TOOL]), "answers": '[{"name": "find", "arguments": {}}]'},
    {"text": "The harbour of Brinmoor freezes every winter, and the pilots skate to work."},
]
TEXT = """\
# The harbour

The harbour of Brinmoor freezes every winter, and the pilots skate to work.

## Tides

- They turn twice a day, as everyone knows.

```python
print("no prose")
```

Nobody sails before the ice has broken. It breaks in March.
"""


def in_encodings(text: str) -> list[bytes]:
    """The text as editors save it."""
    marked = [("utf-8-sig", b""), ("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)]
    return [
        text.encode(),
        text.replace("\n", "\r\n").encode(),
        *(mark + text.encode(name) for name, mark in marked),
    ]


def _lines(rows: Sequence[Any]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


_FILES = [file for row in ROWS for file in in_encodings(_lines([row, ROWS[-1]]))]
SOUND_LINES = [file for file in _FILES if b"find" not in file.replace(b"\0", b"")]
"""Without calls of tools, which are no sections."""


def json_lines() -> st.SearchStrategy[bytes]:
    """Up to four rows, of which some are changed; and files whose bytes are."""
    rows = st.lists(changed_value(ROWS) | st.sampled_from(ROWS), min_size=1, max_size=4)
    return rows.map(lambda some: _lines(some).encode()) | changed_bytes(_FILES)
