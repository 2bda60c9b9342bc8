"""Prose cut into samples: sentences, or blocks where there are hardly any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise

FEWEST_SENTENCES = 3
SENTENCE, BLOCK = 4, 16
"""Fewest words of a sentence (a shorter one, "Mr.", is part of the next) and of a block."""

_CJK = "぀-ヿ㐀-鿿가-힣"
_WORD = re.compile(rf"[{_CJK}]|[^\s{_CJK}]{{1,12}}")
"""What counts as one word: a character of a script without spaces, else up to 12 characters; hardly ever
less than a token."""
# the second line: full stops of Chinese and Japanese, which no space follows; the third: an empty line
_SENTENCE_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)"
    r"|[。！？]++[」』”’）]*"
    r"|(?=\n[^\S\n]*\n)"
)


def prose_segments(text: str) -> list[str]:
    """Consecutive pieces that together are the stripped text; white space begins the piece it precedes.

    Sentences (of at least 4 words); where there are fewer than 3, blocks of at least 16 words.
    """
    text = text.strip()
    if len(found := sentences(text)) >= FEWEST_SENTENCES:
        return found
    ends = [match.end() for match in _WORD.finditer(text)]
    return _join_short(_cut(text, ends[BLOCK - 1 :: BLOCK]), BLOCK)


def sentences(text: str) -> list[str]:
    """Sentences (of at least 4 words) that together are the stripped text."""
    text = text.strip()
    return _join_short(_cut(text, (match.end() for match in _SENTENCE_END.finditer(text))), SENTENCE)


def pieces_within(pieces: Sequence[str], most: int) -> list[str]:
    """The first pieces, of at most ``most`` characters together; always at least one."""
    kept, length = 1, len(pieces[0])
    while kept < len(pieces) and length + len(pieces[kept]) <= most:
        length += len(pieces[kept])
        kept += 1
    return list(pieces[:kept])


def in_context(pieces: Sequence[str], width: int) -> list[tuple[str, str]]:
    """Each piece with the text before it, in stretches of at most ``width`` characters.

    A stretch begins without white space and with nothing before it; a piece longer than ``width`` is a
    stretch by itself.
    """
    pairs: list[tuple[str, str]] = []
    before = ""
    for piece in pieces:
        if len(before) + len(piece) > width:
            before = ""
        own = piece if before else piece.lstrip()
        pairs.append((before, own))
        before += own
    return pairs


def _cut(text: str, ends: Iterable[int]) -> list[str]:
    marks = [0, *ends, len(text)]
    return [text[a:b] for a, b in pairwise(marks) if b > a]


def _join_short(pieces: Iterable[str], least: int) -> list[str]:
    """Neighbours put together until each has ``least`` words; what is left over is part of the last."""
    joined: list[str] = []
    waiting = ""
    for piece in pieces:
        waiting += piece
        if _count_words(waiting, least) >= least:
            joined.append(waiting)
            waiting = ""
    if waiting and joined:
        joined[-1] += waiting
    elif waiting:
        joined.append(waiting)
    return joined


def _count_words(text: str, most: int) -> int:
    """Words of a text, counted up to ``most``."""
    return sum(1 for _ in islice(_WORD.finditer(text), most))
