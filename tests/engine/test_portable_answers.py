"""Answers of a pack: of what they may stand for, and what is no file of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.engine.noise_floor import NoiseFloor
from pytest_sway.engine.portable_answers import PortableAnswers, PortableAnswersError, PortableFloor
from pytest_sway.requests import Completion, Divergence, Generate, Generation, View

BASE, TUNED = View("b"), View("b", "a")
HEAD = '{"format": 1, "answers": 1, "noise_floor": null, "origin": ""}'
KEY = "0" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "{}\n",
        "\x00\n",
        HEAD,
        f"{HEAD}\n",
        f'{HEAD}\n{{"zz": 1}}\n',
        f'{HEAD}\n{{"{KEY}": 1}}',
        f'{HEAD}\n{{"{KEY}": 1}}\n{{"{KEY}": 1}}\n',
        f'{HEAD}\n{{"{KEY}": {"[" * 100_000}}}\n',
        HEAD.replace("1,", "2,", 1) + "\n",
        HEAD.replace("null", '{"base": "b", "variant": "v", "value": [-1.0, 0.0]}') + f'\n{{"{KEY}": 1}}\n',
        HEAD.replace('"answers": 1', '"answers": 1e400') + "\n",
        f"{HEAD}{' ' * (1 << 20)}\n",
    ],
)
def test_a_file_that_holds_no_answers(tmp_path: Path, text: str) -> None:
    (tmp_path / "answers.jsonl").write_text(text)
    with pytest.raises(PortableAnswersError, match="not a valid answers file of a pack"):
        PortableAnswers.read(tmp_path / "answers.jsonl")


def test_a_noise_floor_is_of_one_base_and_one_way_of_scoring() -> None:
    answers = PortableAnswers(floor=PortableFloor("b", "alone=False epsilon=1e-07", NoiseFloor(1e-9, 1e-6)))
    assert answers.noise_floor("b", "alone=False epsilon=1e-07") == NoiseFloor(1e-9, 1e-6)
    assert answers.noise_floor("c", "alone=False epsilon=1e-07") is None
    assert answers.noise_floor("b", "alone=False epsilon=0.0078") is None  # bfloat16


@pytest.mark.parametrize(
    ("request_", "value"),
    [
        (Divergence("p", BASE, TUNED), float("inf")),
        (Divergence("p", BASE, TUNED), "1"),
        (Completion("p", "c", TUNED), [-1.0, 0, None]),
        (Generate("p", TUNED, 4), ["text", [10**30]]),
        (Generate("p", TUNED, 4), ["text", [-1]]),
    ],
)
def test_what_is_no_answer_to_a_request_is_not_one(request_, value) -> None:

    answers = PortableAnswers({bytes(16): json.dumps(value)})
    assert answers.get({bytes(16): request_}) == {}


@given(st.dictionaries(st.binary(min_size=16, max_size=16), st.floats(allow_nan=False, allow_infinity=False)))
def test_answers_survive_their_file(tmp_path_factory, numbers) -> None:
    answers = PortableAnswers(origin="a machine", floor=PortableFloor("b", "v", NoiseFloor(0.1, 0.2)))
    answers.put({**numbers, bytes(15) + b"x": Generation("text", (1, 2))})
    file = tmp_path_factory.mktemp("answers") / "a.jsonl"
    file.write_text(answers.text(), "utf-8")
    again = PortableAnswers.read(file)
    assert again.text() == answers.text()
    wanted = {key: Divergence("p", BASE, TUNED) for key in numbers}
    assert again.get(wanted) == {key: value for key, value in numbers.items() if key != bytes(15) + b"x"}
