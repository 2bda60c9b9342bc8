"""Build `corpus/` from three published packages; run once, its output is what we commit.

Kept so that the provenance of the text can be checked line by line. It needs the unpacked
packages (see `corpus/PROVENANCE.md` for the commands); nothing else here needs them.
"""

import argparse
import gzip
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
BLOCK_CHARS = 4000
AUSTEN = {"EMMA": "emma", "PRIDE AND PREJUDICE": "pride_and_prejudice"}
SOTU_YEARS = range(1965, 2022)
CHARSXP = 9


def r_strings(blob: bytes) -> Iterator[str]:
    """Yield the strings of one R character vector in R's XDR serialization (version 3)."""
    native = struct.unpack(">i", blob[14:18])[0]
    at = 18 + native + 8
    while at + 8 <= len(blob):
        flags, size = struct.unpack(">ii", blob[at : at + 8])
        if flags & 0xFF != CHARSXP:
            return
        at += 8
        yield blob[at : at + max(size, 0)].decode("utf-8")
        at += max(size, 0)


def austen_books(rdb: Path) -> Iterator[list[str]]:
    """Yield each novel's lines; the file is a run of (uncompressed length, zlib stream)."""
    data = rdb.read_bytes()
    while data:
        stream = zlib.decompressobj()
        yield list(r_strings(stream.decompress(data[4:])))
        data = stream.unused_data


def normalise(text: str) -> str:
    """Straight quotes, ASCII dashes, no italics marks, single spaces."""
    table = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})
    text = text.translate(table).replace("\u2014", "--").replace("\u2013", "-")
    asides = r"(?i)\[[^\]]*\]|\((?:\w+ )?(?:applause|laughter)[^)]*\)"
    text = re.sub(asides + r"|_|[^\x00-\x7f]", "", text)
    return re.sub(r"\s+", " ", text).strip()


def paragraphs(text: str) -> list[str]:
    """Paragraphs of a book without title pages, chapter headings and closing marks."""
    parts = [normalise(part) for part in re.split(r"\n\s*\n", text)]
    heading = re.compile(r"(?i)^(chapter|volume|the end|finis)\b.{0,80}$")
    return [part for part in parts if len(part) > 25 and not heading.match(part)]


def speech_paragraphs(text: str) -> list[str]:
    """An address comes as one line: group its sentences into paragraphs of some 500 chars."""
    text = re.sub(r"^(The President\.|To the Congress of the United States:)\s*", "", text)
    groups: list[str] = [""]
    for sentence in re.split(r"(?<=[.?!]) (?=[A-Z])", normalise(text)):
        if len(groups[-1]) > 500:
            groups.append("")
        groups[-1] = f"{groups[-1]} {sentence}".strip()
    return groups


def blocks(parts: list[str]) -> list[str]:
    """Join consecutive paragraphs into blocks, the unit that is held out as a whole."""
    out: list[str] = []
    current: list[str] = []
    for part in parts:
        current.append(part)
        if sum(map(len, current)) >= BLOCK_CHARS:
            out.append("\n".join(current))
            current = []
    return out + (["\n".join(current)] if current else [])


def write(name: str, items: list[str]) -> None:
    """Write blocks, a blank line between them, with a gzip header that is the same each time."""
    data = gzip.compress("\n\n".join(items).encode("utf-8") + b"\n", 9, mtime=0)
    (CORPUS / f"{name}.txt.gz").write_bytes(data)
    print(f"{name}: {len(items)} blocks, {sum(map(len, items))} characters, {len(data)} bytes")


def sources(moby: Path, sotu: Path, rdb: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield (name, paragraphs) for each source kept."""
    for lines in austen_books(rdb):
        name = AUSTEN.get(lines[0].strip())
        if name:
            yield name, paragraphs("\n".join(lines[3:]))
    chapters = sorted(moby.glob("chapter_*.txt"), key=lambda p: int(p.stem.split("_")[1]))
    texts = [path.read_text("utf-8").split("\n", 1)[1] for path in chapters]
    yield "moby_dick", paragraphs("\n\n".join(texts))
    speeches: list[str] = []
    for path in sorted(sotu.glob("*.json")):
        if path.name[:4].isdigit() and int(path.name[:4]) in SOTU_YEARS:
            speeches += speech_paragraphs(json.loads(path.read_text("utf-8"))["text"])
    yield "state_of_the_union", speeches


def main() -> None:
    """Hold out one block in 50 for validation and one in 100 for measuring harm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moby", type=Path, required=True)
    parser.add_argument("--sotu", type=Path, required=True)
    parser.add_argument("--austen-rdb", type=Path, required=True)
    args = parser.parse_args()
    CORPUS.mkdir(exist_ok=True)
    valid: list[str] = []
    harm: list[str] = []
    for name, parts in sources(args.moby, args.sotu, args.austen_rdb):
        items = blocks(parts)
        valid += items[25::50]
        harm += items[40::100]
        write(name, [b for i, b in enumerate(items) if i % 50 != 25 and i % 100 != 40])
    write("validation", valid)
    write("harm", harm)


if __name__ == "__main__":
    main()
