"""The sentences a user can meet: every text of six words or more in the package's code, docstrings apart.

``python benchmarks/sentences.py`` counts them by package; ``--sample 30 --seed 7`` draws thirty at random.
That is how the English is judged: somebody who has not seen them reads them, and names those that have to be
translated back. An f-string appears with the expressions it is made of.
"""

import argparse
import ast
import collections
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parent.parent / "src" / "pytest_sway"
LEAST_WORDS = 6


class Sentence(NamedTuple):
    file: str
    line: int
    text: str


def sentences(source: Path = SOURCE) -> list[Sentence]:
    return [sentence for path in sorted(source.rglob("*.py")) for sentence in _in_file(path, source)]


def _in_file(path: Path, source: Path) -> Iterator[Sentence]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _texts(tree):
        text = " ".join(_as_text(node).split())
        if len(text.split()) >= LEAST_WORDS:
            yield Sentence(str(path.relative_to(source)), node.lineno, text)


def _texts(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """Outermost string literals below ``node``; a string that stands as a statement is a docstring."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.JoinedStr) or (
            isinstance(child, ast.Constant) and isinstance(child.value, str)
        ):
            yield child
        else:
            yield from _texts(child)


def _as_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_as_text(part) for part in node.values)
    return "{" + ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node) + "}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, help="draw this many sentences at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw")
    options = parser.parse_args()
    everything = sentences()
    if options.sample:
        chosen = random.Random(options.seed).sample(everything, options.sample)
        lines = [f"{sentence.file}:{sentence.line}: {sentence.text}" for sentence in chosen]
    else:
        packages = collections.Counter(sentence.file.split("/")[0] for sentence in everything)
        lines = [f"{count:5}  {package}" for package, count in packages.items()]
        lines.append(f"{len(everything):5}  all")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
