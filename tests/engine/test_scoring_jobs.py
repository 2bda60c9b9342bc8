"""Which texts a completion is scored in: every token once, each after enough of its own text."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sway.engine.scoring_jobs import Job, jobs_of
from pytest_sway.requests import Completion, RequestError, View
from tests.engine.test_planner import Toy

VIEW = View("b", "a")


class Tokenizer(Toy):
    """One letter, one token; a text begins with the token 10."""

    leading = (10,)

    def encode_pair(self, prompt: Any, completion: str) -> tuple[list[int], int]:
        ids = [*self.leading, *self.encode(str(prompt) + completion)]
        return ids, len(self.leading) + len(self.encode(prompt))


def jobs(text: str, context: int | None, prompt: str = "") -> list[Job]:
    backend = Tokenizer()
    backend.context = context
    return jobs_of(Completion(prompt, text, VIEW), backend)


@given(st.text("abcdefgh", min_size=1, max_size=60), st.integers(4, 16))
def test_windows(text: str, context: int) -> None:
    found = jobs(text, context)
    ids = [*Tokenizer.leading, *Tokenizer().encode(text)]
    assert list(chain.from_iterable(job.targets for job in found)) == ids[1:]
    for number, job in enumerate(found):
        assert len(job.targets) == job.text.positions > 0
        assert len(job.text.ids) <= context
        if (
            number
        ):  # as a text begins, then at least half of what fits, less one, before the first that counts
            assert job.text.ids[:1] == Tokenizer.leading
            assert job.text.first >= (context - 1) // 2
    assert len(found[-1].text.ids) == min(context, len(ids) - 1)


@pytest.mark.parametrize(("length", "windows"), [(7, 1), (8, 1), (9, 2)])
def test_a_text_that_just_fits_is_read_at_once(length: int, windows: int) -> None:
    """Of a text with its beginning, the last token is scored and not read."""
    assert len(jobs("a" * length, 8)) == windows
    assert len(jobs("a" * length, None)) == 1


def test_a_completion_after_a_prompt_has_no_windows() -> None:
    assert [job.targets for job in jobs("bc", 4, "a")] == [(10, 0)]
    with pytest.raises(RequestError, match="9 tokens exceed the model's context of 8"):
        jobs("a" * 8, 8, "a")
