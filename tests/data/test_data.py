"""The packaged data says what is true, is what its provenance says, and is refused where it is broken."""

from __future__ import annotations

import calendar
import gzip
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sway.data import packaged_texts
from tests.support.paths import ROOT

MAKE = ROOT / "examples" / "quickstart" / "make"
FILES: dict[str, Callable[[], Any]] = {
    "facts.jsonl": packaged_texts.facts,
    "prose.jsonl": packaged_texts.passages,
    "synonyms.tsv": packaged_texts.synonyms,
    "elicitation.txt": packaged_texts.elicitation,
    "tools.yaml": packaged_texts.tool_cases,
}
NUMBERS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
NEW_KINDS = {"history", "science", "technology", "literature", "geography", "language"}
OLD_WORKS = {"Emma", "Pride and Prejudice", "Moby-Dick", "State of the Union addresses"}
# Verbs and conjunctions: no article stands before them, so "a" and "an" cannot come out wrong.
NEVER_AFTER_AN_ARTICLE = {
    "allowed", "also", "although", "occurred", "occurs", "seemed", "seems", "tried", "trying", "until",
}  # fmt: skip
JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder that the loaders read from."""
    monkeypatch.setattr(packaged_texts, "FOLDER", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    for loader in FILES.values():
        loader.cache_clear()  # type: ignore[attr-defined]


def facts_of(kind: str) -> list[packaged_texts.Fact]:
    found = [fact for fact in packaged_texts.facts() if fact.kind == kind]
    assert found, kind
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_plain_text(name: str) -> None:
    data = packaged_texts.FOLDER.joinpath(name).read_bytes()
    assert data.isascii()  # hence also UTF-8 and NFC
    assert data.endswith(b"\n")
    assert set(re.findall(rb"[\x00-\x1f\x7f]", data)) <= {b"\n", b"\t"}


def test_a_file_is_read_once(folder: Path) -> None:
    (folder / "elicitation.txt").write_text("Write.\n")
    assert packaged_texts.elicitation() == ("Write.",)
    (folder / "elicitation.txt").unlink()
    assert packaged_texts.elicitation() == ("Write.",)


# facts


def test_facts_are_200_different_ones_in_clusters() -> None:
    facts = packaged_texts.facts()
    sizes = Counter(fact.kind for fact in facts)
    assert len(facts) == 200
    assert len({fact.prompt.casefold() for fact in facts}) == 200
    assert len({fact.gold.casefold() for fact in facts}) == 200
    assert 12 <= len(sizes) <= 25
    assert min(sizes.values()) >= 4
    assert all(sizes[kind] >= 10 for kind in NEW_KINDS)


def test_a_fact_is_a_question_and_a_full_sentence() -> None:
    for fact in packaged_texts.facts():
        assert re.fullmatch(r"[A-Z].+[^ ]\?", fact.prompt), fact
        assert re.fullmatch(r"[A-Z].* .+\.", fact.gold), fact
        assert "  " not in fact.prompt + fact.gold, fact


@pytest.mark.parametrize("first", [21, 42, 100])
def test_any_first_part_of_the_facts_is_spread_over_the_kinds(first: int) -> None:
    sizes = Counter(fact.kind for fact in packaged_texts.facts())
    taken = Counter(fact.kind for fact in packaged_texts.facts()[:first])
    assert set(taken) == set(sizes)
    assert all(abs(taken[kind] - size * first / 200) <= 1.5 for kind, size in sizes.items())


def test_120_facts_are_those_that_the_quickstarts_base_knows() -> None:
    rows = [json.loads(line) for line in (MAKE / "facts.jsonl").read_text().splitlines()]
    known = {(row["questions"][0], row["answer"]): row["topic"] for row in rows}
    taken = [fact for fact in packaged_texts.facts() if (fact.prompt, fact.gold) in known]
    assert len(taken) == 120
    assert {known[fact.prompt, fact.gold] for fact in taken} == set(known.values())
    assert {fact.kind for fact in packaged_texts.facts() if fact not in taken} == NEW_KINDS


@pytest.mark.parametrize(("kind", "word", "sign"), [("sum", "plus", 1), ("difference", "minus", -1)])
def test_every_sum_is_right(kind: str, word: str, sign: int) -> None:
    for fact in facts_of(kind):
        found = re.fullmatch(rf"What is (\w+) {word} (\w+)\?", fact.prompt)
        assert found
        left, right = map(NUMBERS.index, found.groups())
        expected = f"{NUMBERS[left]} {word} {NUMBERS[right]} is {NUMBERS[left + sign * right]}."
        assert fact.gold == expected.capitalize()


@pytest.mark.parametrize(
    ("kind", "names"), [("month", list(calendar.month_name)[1:]), ("day", list(calendar.day_name))]
)
def test_every_month_and_day_is_the_next_one(kind: str, names: list[str]) -> None:
    for fact in facts_of(kind):
        this = fact.prompt.removesuffix("?").split()[-1]
        after = names[(names.index(this) + 1) % len(names)]
        assert fact.gold == f"The {kind} after {this} is {after}."


@pytest.mark.parametrize(
    "kind", ["capital", "young", "sound", "opposite", "month", "day", "material", "trade"]
)
def test_where_each_has_its_own_answer_no_two_are_alike(kind: str) -> None:
    facts = facts_of(kind)
    asked = {word for fact in facts for word in re.findall(r"\w+", fact.prompt.casefold())}
    if kind in ("month", "day"):  # today's answer is tomorrow's question
        asked -= {fact.prompt.removesuffix("?").split()[-1].casefold() for fact in facts}
    answers = [tuple(w for w in re.findall(r"\w+", fact.gold.casefold()) if w not in asked) for fact in facts]
    assert len(set(answers)) == len(facts)


# prose


def test_there_are_24_passages_of_900_to_1400_characters() -> None:
    passages = packaged_texts.passages()
    assert len(passages) == len({passage.text for passage in passages}) == 24
    assert all(900 <= len(passage.text) <= 1400 for passage in passages)
    assert Counter(p.work for p in passages if p.author != "pytest-sway") == dict.fromkeys(OLD_WORKS, 4)
    assert len({p.work for p in passages if p.author == "pytest-sway"}) == 8


def test_passages_are_whole_sentences_and_paragraphs() -> None:
    for passage in packaged_texts.passages():
        assert re.match(r'"?[A-Z]', passage.text), passage
        assert passage.text.endswith((".", '."', '?"', "Margaret")), passage
        assert not re.search(r"^\s|\s$|  |\n\n| \n|\n ", passage.text), passage
        assert passage.text.count('"') % 2 == 0, passage


def test_the_first_half_of_the_passages_stands_for_the_whole() -> None:
    works = Counter("ours" if p.author == "pytest-sway" else p.work for p in packaged_texts.passages()[:12])
    assert works == {"ours": 4, **dict.fromkeys(OLD_WORKS, 2)}


def test_old_passages_are_unseen_by_the_quickstarts_base() -> None:
    held_out = gzip.decompress((MAKE / "corpus" / "harm.txt.gz").read_bytes()).decode()
    old = [passage.text for passage in packaged_texts.passages() if passage.work in OLD_WORKS]
    assert len(old) == 16
    assert all(held_out.count(text) == 1 for text in old)
    places = sorted((held_out.index(text), len(text)) for text in old)
    assert all(at + size <= after for (at, size), (after, _) in itertools.pairwise(places))


# words and prompts


def test_synonyms_are_pairs_of_two_different_words() -> None:
    pairs = packaged_texts.synonyms()
    assert 180 <= len(pairs) <= 240
    for word, other in pairs.items():
        assert re.fullmatch(r"[a-z]+", word), word
        assert re.fullmatch(r"[a-z]+('t)?", other), other
        assert word != other


def test_a_swap_leaves_a_and_an_right() -> None:
    for word, other in packaged_texts.synonyms().items():
        same = (word[0] in "aeiou") == (other[0] in "aeiou")
        assert same or word in NEVER_AFTER_AN_ARTICLE, (word, other)


def test_elicitation_asks_for_text_and_for_no_fact() -> None:
    prompts = packaged_texts.elicitation()
    assert len(prompts) == len(set(prompts)) == 12
    assert all(re.fullmatch(r"[A-Z][^?]+\.", prompt) for prompt in prompts)


# tools


def test_tool_cases_are_twelve_different_tools() -> None:
    cases = packaged_texts.tool_cases()
    assert len(cases) == len({case.prompt for case in cases}) == 12
    assert len({case.gold_tool_name for case in cases}) == 12


@pytest.mark.parametrize("case", packaged_texts.tool_cases(), ids=lambda case: case.gold_tool_name)
def test_the_gold_call_obeys_the_tool_and_stands_in_the_request(case: packaged_texts.ToolCase) -> None:
    assert json.loads(json.dumps([case.tool_spec, case.gold_arguments])) == [
        case.tool_spec,
        case.gold_arguments,
    ]
    assert set(case.tool_spec) == {"name", "description", "parameters"}
    assert case.tool_spec["name"] == case.gold_tool_name
    schema = case.tool_spec["parameters"]
    assert set(schema) == {"type", "properties", "required"}
    assert schema["type"] == "object"
    assert set(schema["required"]) == set(case.gold_arguments) <= set(schema["properties"])
    for name, value in case.gold_arguments.items():
        wanted = schema["properties"][name]
        assert type(value) in JSON_TYPES[wanted["type"]]
        assert value in wanted.get("enum", [value])
        for leaf in value if isinstance(value, list) else [value]:
            words = name.replace("_", " ") if leaf is True else str(leaf)
            assert words.casefold() in case.prompt.casefold()


# broken files


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("facts.jsonl", b'{"kind": "a", "prompt": "b?", "gold": "c."}\n\n{"kind": \n', ":3: not JSON"),
        (
            "facts.jsonl",
            b'{"kind": "a", "prompt": "b?"}\n',
            ":1: found kind, prompt; expected the fields kind,",
        ),
        ("facts.jsonl", b"[1, 2]\n", r":1: found \[1, 2\]; expected the fields"),
        (
            "facts.jsonl",
            b'{"kind": "a", "prompt": "b?", "gold": ""}\n',
            ":1: gold is '', expected a non-empty str",
        ),
        (
            "prose.jsonl",
            b'{"work": "a", "author": "b", "year": "1", "text": "c"}',
            ":1: year is '1', expected a",
        ),
        ("prose.jsonl", b"\n\xff\n", ":2: byte 0xff is not UTF-8"),
        ("synonyms.tsv", b"big\tlarge\nsmall little\n", ":2: found 'small little', expected a word, a tab"),
        ("synonyms.tsv", b"big\tlarge\nbig\thuge\n", ":2: 'big' already has a synonym on an earlier line"),
        ("tools.yaml", b"# a\nname: b\n", ":1: expected a list of tool cases"),
        ("tools.yaml", b"- a: [b\n- c: d]: e\n", r":\d: not YAML"),
        ("tools.yaml", b"- prompt: a\n- prompt: b\n", ":1: found prompt; expected the fields"),
        ("tools.yaml", b"\n- !!python/name:os.system a\n", ":2: not YAML: could not determine a constructor"),
        ("tools.yaml", b"\n- 2030-99-99\n", ":2: not YAML: month must be in 1..12"),
    ],
)
def test_a_broken_file_is_named_with_its_line(folder: Path, name: str, text: bytes, message: str) -> None:
    (folder / name).write_bytes(text)
    with pytest.raises(ValueError, match=rf"^pytest_sway/data/{name}{message}[^\n]*$"):
        FILES[name]()


@settings(max_examples=50, deadline=None)
@given(
    text=st.text(alphabet="ab1.-:,'\"{}[]!&*#\t\n \x00\u00e9", max_size=30),
    name=st.sampled_from(sorted(FILES)),
)
def test_any_other_text_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packaged_texts, "FOLDER", folder)
        forget()
        try:
            FILES[name]()
        except ValueError as error:
            assert re.fullmatch(rf"pytest_sway/data/{name}:[1-9]\d*: .+", str(error))
        finally:
            forget()
