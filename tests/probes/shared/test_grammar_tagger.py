"""Parts of speech and syllables, by a real spaCy pipeline made here (the usual one is on no index)."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy

from pytest_sway.probes.shared import grammar_tagger, optional_packages
from pytest_sway.probes.shared.style_features import fingerprint, tally

TAGS = {
    "the": ("DT", "DET"),
    "cat": ("NN", "NOUN"),
    "was": ("VBD", "AUX"),
    "never": ("RB", "ADV"),
    "seen": ("VBN", "VERB"),
    "slept": ("VBD", "VERB"),
    ".": (".", "PUNCT"),
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that knows seven words, saved and read back as a downloaded one is."""
    made = spacy.blank("en")
    ruler = made.add_pipe("attribute_ruler")
    for word, (tag, part) in TAGS.items():
        ruler.add([[{"LOWER": word}]], {"TAG": tag, "POS": part})  # type: ignore[attr-defined]
    folder = tmp_path_factory.mktemp("spacy") / "pipeline"
    made.to_disk(folder)
    return folder


@pytest.fixture
def tagger(pipeline: Path) -> grammar_tagger.Tagger:
    found = grammar_tagger.load_tagger(str(pipeline))
    assert isinstance(found, grammar_tagger.Tagger)
    return found


def test_parts_of_speech_and_passives(tagger: grammar_tagger.Tagger) -> None:
    read = tagger.read("The cat was never seen.\n\nThe cat slept. Was the cat seen")
    assert read.parts[:6] == ["DET", "NOUN", "AUX", "ADV", "VERB", "PUNCT"]
    assert len(read.parts) == 14
    assert read.passives == 1  # adverbs may stand between, a noun may not


@pytest.mark.parametrize(("word", "count"), [("cat", 1), ("window", 2), ("remember", 3), ("", 1)])
def test_syllables(tagger: grammar_tagger.Tagger, word: str, count: int) -> None:
    assert tagger.syllables(word) == count


def test_nine_dimensions(tagger: grammar_tagger.Tagger) -> None:
    # one window of 8 tags: five 4-grams, all different
    text = "The cat was seen. The cat slept."
    found = fingerprint(tally(text, 7, tagger), extended=True)
    assert found is not None
    assert found[:6] == pytest.approx(fingerprint(tally(text, 7), extended=False))
    # DET NOUN AUX VERB PUNCT DET NOUN: four 4-grams, all different: 2 bits; 1 passive, 2 sentences
    assert found[6:] == pytest.approx([10 * 1 / 2, 2.0 / 10, 1.0 / 5])


def test_a_pipeline_that_is_not_there_is_one_line() -> None:
    told = grammar_tagger.load_tagger("en_no_such_pipeline")
    assert isinstance(told, str)
    assert told.endswith("python -m spacy download en_core_web_sm")
    assert "\n" not in told


def test_a_pipeline_without_tags_is_not_half_used(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    told = grammar_tagger.load_tagger(str(tmp_path / "blank"))
    assert isinstance(told, str)
    assert "does not tag parts of speech" in told


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional_packages, "find_spec", lambda name: None)
    grammar_tagger.load_tagger.cache_clear()
    told = grammar_tagger.load_tagger()
    grammar_tagger.load_tagger.cache_clear()
    assert told == "spacy and pyphen are not installed; run pip install 'pytest-sway[style]'"
