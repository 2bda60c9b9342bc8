"""What a server says in its errors and in its names: repeated in one message, and nothing in it works."""

from __future__ import annotations

import pytest

from pytest_sway.requests import RequestError
from pytest_sway.text.width import clean, log_lines
from tests.backends.api.test_misbehaving_server import GOOD, Scripted, failure
from tests.hostile.texts import TEXTS, terminal_faults
from tests.support.completions_server import error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["title", "command on a line", "script", "cleared screen", "option"])
def test_the_message_of_an_error(name: str) -> None:
    text = TEXTS[name][:300]
    message = failure(Scripted(error(400, text)), RequestError)
    assert "Traceback" not in message
    assert terminal_faults(log_lines(message)) == []
    assert terminal_faults(clean(message)) == []
    assert "\x1b" not in message


@pytest.mark.slow
@pytest.mark.parametrize("token", ["\x1b]0;owned\x07", "7\n::error::x", "<script>"])
def test_tokens_that_are_texts(token: str) -> None:
    positions = [None, {"6": {"logprob": -1.0}}, {token: {"logprob": -2.0}}]
    reply = {**GOOD, "choices": [{"index": 0, "prompt_logprobs": positions}]}
    message = failure(Scripted((200, reply)), RequestError)
    assert terminal_faults(log_lines(message)) == []
    assert "\x1b" not in message
