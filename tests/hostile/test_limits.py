"""Limits on time, memory and files: they hold, and leave no trace behind."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pytest_sway.backends.base import BackendError
from pytest_sway.backends.config_patterns import check_patterns
from pytest_sway.backends.hf.prompts.chat_template import ChatTemplate, TemplateSettings
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.rendering_limits import RenderingLimitError
from pytest_sway.backends.hf.prompts.tokenizer_rules import checked_tokenizer, rules_fault
from pytest_sway.computing_limits import LimitExceeded, limited_memory, limited_time
from pytest_sway.regular_files import folder_fault, limited_lines, open_regular, read_regular
from pytest_sway.requests import RequestError, Turn
from pytest_sway.text.width import clean, keep_end, log_lines, width
from tests.hostile.corpus_bombs import fifo
from tests.support.chat_templates import BASE, loop, tokenizer_of

_NAMES = [f"model.layers.{n}.self_attn.q_proj" for n in range(40)]


def _forever() -> None:
    while True:
        pass


def test_python_and_regular_expressions_are_ended() -> None:
    for endless in (_forever, lambda: re.fullmatch(r"(a+)+b", "a" * 60)):
        with pytest.raises(LimitExceeded, match=r"it did not end within 0\.2 s"), limited_time(0.2):
            endless()


def test_an_error_that_is_swallowed_comes_again() -> None:
    def swallows() -> None:
        for _ in range(3):
            try:
                _forever()
            except Exception:
                continue
        _forever()

    with pytest.raises(LimitExceeded), limited_time(0.1):
        swallows()


def test_an_error_that_is_swallowed_at_the_end_comes_again() -> None:
    def swallows() -> None:
        with suppress(LimitExceeded):
            _forever()

    with pytest.raises(LimitExceeded), limited_time(0.1):
        swallows()


def test_waiting_is_no_computing() -> None:
    with limited_time(0.1):
        time.sleep(0.3)


def test_no_signal_and_no_limit_stay() -> None:
    before = signal.getsignal(signal.SIGVTALRM), resource.getrlimit(resource.RLIMIT_AS)
    with limited_time(0.1), limited_memory(1 << 30):
        assert signal.getsignal(signal.SIGVTALRM) != before[0]
    assert (signal.getsignal(signal.SIGVTALRM), resource.getrlimit(resource.RLIMIT_AS)) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)


def test_of_two_limits_the_sooner_holds() -> None:
    for outer, inner in ((0.2, 5.0), (5.0, 0.2)):
        with (
            pytest.raises(LimitExceeded, match=r"within 0\.2 s"),
            limited_time(outer),
            limited_time(inner),
        ):
            _forever()

    def after_an_inner_block() -> None:
        with limited_time(5.0):
            pass
        _forever()

    with pytest.raises(LimitExceeded, match=r"within 0\.3 s"), limited_time(0.3):
        after_an_inner_block()


def test_a_timer_that_was_set_before_is_set_again() -> None:
    before = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000, 500)
    try:
        with limited_time(0.1):
            pass
        remaining, again = signal.getitimer(signal.ITIMER_VIRTUAL)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert remaining > 900
    assert again == 500


def test_another_thread_leaves_the_limit_of_memory_alone() -> None:
    before, found = resource.getrlimit(resource.RLIMIT_AS), []

    def work() -> None:
        with limited_memory(1 << 30):
            found.append(resource.getrlimit(resource.RLIMIT_AS))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_another_thread_has_no_limit_of_time() -> None:
    done: list[bool] = []

    def work() -> None:
        with limited_time(0.01):
            end = time.thread_time() + 0.1
            while time.thread_time() < end:
                pass
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_memory_is_limited() -> None:
    with pytest.raises(LimitExceeded, match="it needs more than 64 MiB of memory"), limited_memory(64 << 20):
        b"x" * (1 << 30)
    assert len(b"x" * (128 << 20)) == 128 << 20


def test_a_template_that_was_ended_is_not_rendered_again() -> None:
    text = loop("'x' * 10**10")
    chat = ChatTemplate(tokenizer_of(text), TemplateSettings())
    began = time.process_time()
    for _ in range(50):
        with pytest.raises(RenderingLimitError, match="needs more than 512 MiB of memory"):
            chat.render((Turn("user", "Who?"),))
    assert time.process_time() - began < 2


_WORDS = loop("m['content']") + (
    "{% for m in messages %}{% for word in m['content'].split() %}{% for i in range(30) %}"
    "{% set x = word ~ i %}{% endfor %}{% endfor %}{% endfor %}"
)


def _render(chat: ChatTemplate, text: str) -> str:
    return chat.render((Turn("user", text),))


def test_a_long_prompt_that_takes_too_long_refuses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sway.backends.hf.prompts.rendering_limits._SECONDS", 0.2)
    chat = ChatTemplate(tokenizer_of(_WORDS), TemplateSettings())
    for words in (100_000, 110_000, 120_000):
        with pytest.raises(RenderingLimitError, match="cannot render this dialogue: it did not end within"):
            _render(chat, "a " * words + "b")
        assert "who are you" in _render(chat, "who are you")
    began = time.process_time()
    with pytest.raises(RenderingLimitError, match="cannot render this dialogue"):
        _render(chat, "a " * 100_000 + "b")
    assert time.process_time() - began < 0.2, "it is not rendered again"


def test_two_short_prompts_that_take_too_long_end_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sway.backends.hf.prompts.rendering_limits._SECONDS", 0.2)
    endless = "{% if 'Who' in messages[0]['content'] %}" + "{% for i in range(99999) %}" * 2
    chat = ChatTemplate(
        tokenizer_of(loop("m['content']") + endless + "{% endfor %}" * 2 + "{% endif %}"), TemplateSettings()
    )
    for text, message in (("Who?", "render this"), ("Who, then?", "be used"), ("And?", "be used")):
        with pytest.raises(RenderingLimitError, match=f"cannot {message}"):
            _render(chat, text)


def test_compiling_is_no_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sway.backends.hf.prompts.rendering_limits._SECONDS", 0.2)
    text = loop("m['content']") + "{{ '' }}" * 20_000
    chat = ChatTemplate(tokenizer_of(text), TemplateSettings())
    for _ in range(2):
        with pytest.raises(RenderingLimitError, match=r"it did not end within 0\.2 s when compiled"):
            _render(chat, "Who?")
    monkeypatch.setattr("pytest_sway.backends.hf.prompts.rendering_limits._SECONDS", 30)
    chat = ChatTemplate(tokenizer_of(text + " "), TemplateSettings())
    chat._compile(())
    monkeypatch.setattr("pytest_sway.backends.hf.prompts.rendering_limits._SECONDS", 0.2)
    assert "Who?" in _render(chat, "Who?")


def test_a_template_and_its_text_have_a_length() -> None:
    for text, message in (
        ("x" * (1 << 20) + "y", "it has 1,048,577 characters"),
        (loop("m['content'] ~ 'x' * 17000000"), "renders 17,000,0"),
    ):
        with pytest.raises(RenderingLimitError, match=message):
            ChatTemplate(tokenizer_of(text), TemplateSettings()).render((Turn("user", "Who?"),))


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"target_modules": "(([a-z_.0-9]+)+)+!"}, "target_modules"),
        ({"exclude_modules": "(([a-z_.0-9]+)+)+!"}, "exclude_modules"),
        ({"rank_pattern": {"(([a-z_.0-9]+)+)+!": 4}}, "rank_pattern"),
        ({"alpha_pattern": {"(([a-z_.0-9]+)+)+!": 4}}, "alpha_pattern"),
    ],
)
def test_expressions_that_do_not_end(
    config: dict[str, Any], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_sway.backends.config_patterns._SECONDS", 0.2)
    with pytest.raises(
        BackendError, match=rf"x: {field} in adapter_config.json contains the regular expression"
    ):
        check_patterns("x", config, _NAMES)


def test_expressions_of_well_known_trainers_end() -> None:
    unsloth = (
        r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?"
        r"(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj).*?)"
        r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|k_proj)))"
    )
    config = {"target_modules": unsloth, "rank_pattern": {r"layers\.[0-9]+\..*": 4, "q_proj": 2}}
    began = time.process_time()
    check_patterns("x", config, _NAMES * 25)
    assert time.process_time() - began < 0.5
    check_patterns("x", {"target_modules": "((", "layers_pattern": 3, "rank_pattern": [1]}, _NAMES)


def test_many_expressions_and_many_modules_end() -> None:
    names = [f"model.layers.{n}.mlp.experts.{m}.{part}_proj" for n in range(48) for m in range(128)
             for part in ("gate", "up", "down")]  # fmt: skip
    patterns = {rf"layers\.{n}\..*(gate|up)_proj": 4 for n in range(48)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_sway.backends.config_patterns._SECONDS", 0.2)
        check_patterns("x", {"rank_pattern": patterns, "alpha_pattern": patterns}, names)
        patch.setattr("pytest_sway.backends.config_patterns._SECONDS_IN_ALL", 0.3)
        with pytest.raises(BackendError, match=r"alpha_pattern|rank_pattern .*did not end within 0\.3 s"):
            check_patterns("x", {"rank_pattern": patterns, "alpha_pattern": patterns}, names)


class _Rules:
    def __init__(self, state: bytes) -> None:
        self.backend_tokenizer = self
        self.normalizer = self
        self._state = state

    def __getstate__(self) -> bytes:
        return self._state


def _replace(literal: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": literal}, "content": content}


_ANY = {"type": "Replace", "pattern": {"Regex": "."}, "content": "b" * 100}


@pytest.mark.parametrize(
    ("rules", "is_fault"),
    [
        ([_replace(" ", "\u2581")], False),
        ([_replace("a" * 50, "b" * 50)], False),
        ([_replace(end, f"<|{end * 40}|>") for end in "\n\t\r"], False),
        ([_replace(one, "ae") for one in "äöüÄÖÜß" * 3], False),
        ([_ANY], False),
        ([{**_ANY, "content": "b" * 1001}], True),
        ([_ANY, _ANY], True),
        ([_replace("a", "bb" * 50), _replace("bc", "d" * 40)], True),
        ([_replace("a", "B" * 50), {"type": "Lowercase"}, _replace("b", "c" * 50)], True),
        ([_replace("a", "B" * 50), _replace("b", "c" * 50)], False),
        ([_replace("a", "aa")] * 10, True),
        ([{"type": "NFC"}], False),
    ],
)
def test_rules_that_inflate_a_text(rules: list[dict[str, Any]], is_fault: bool) -> None:
    state = json.dumps({"type": "Sequence", "normalizers": rules})
    assert bool(rules_fault(_Rules(state.encode()))) == is_fault


def test_rules_that_cannot_be_read_are_no_fault() -> None:
    assert rules_fault(_Rules(b"no JSON")) == ""


def test_a_tokenizer_need_not_know_the_first_text() -> None:
    rules = Tokenizer(models.WordLevel({letter: index for index, letter in enumerate("ACGT")}, unk_token="?"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=rules)
    with pytest.raises(Exception, match="WordLevel error: Missing"):
        tokenizer("a")
    assert checked_tokenizer(tokenizer) is tokenizer


def test_a_panic_at_the_first_text_refuses_the_tokenizer() -> None:
    class PanicException(BaseException):
        """Named as pyo3's."""

    def panic(text: str, *, verbose: bool) -> None:
        raise PanicException("retry-limit-in-match over")

    with pytest.raises(RequestError, match="cannot split a text: retry-limit"):
        checked_tokenizer(panic)


def test_a_panic_of_the_tokenizer_is_an_error_of_ours() -> None:
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("([a-z]+)+[A-Z]"), "isolated")
    tokens = PromptTokenizer(tokenizer)
    for ask in (tokens.encode, tokens.tokenized):
        with pytest.raises(RequestError, match=r"cannot split a text: .*retry-limit-in-match over"):
            ask("a" * 60)


@pytest.mark.parametrize("make", [fifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_read(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "x.json")
    with pytest.raises(OSError, match="not a regular file, but a pipe, a device or a socket"):
        read_regular(tmp_path / "x.json")
    assert str(tmp_path / "x.json") in folder_fault(tmp_path)


def test_files_have_a_size(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b"12345\n1")
    assert read_regular(file, 7) == b"12345\n1"
    with pytest.raises(OSError, match="the limit is") as error:
        read_regular(file, 6)
    assert (error.value.errno, error.value.filename) == (errno.EFBIG, str(file))
    with open_regular(file) as opened, pytest.raises(OSError, match="a line has more than 0 MiB"):
        list(limited_lines(opened, file, 5))
    with open_regular(file) as opened:
        assert list(limited_lines(opened, file, 6)) == [b"12345\n", b"1"]
    assert folder_fault(tmp_path) == ""
    os.truncate(file, 200 << 20)  # data that lie beside an adapter
    assert folder_fault(tmp_path) == ""
    file.rename(tmp_path / "config.json")
    assert "is too large: 210 MB" in folder_fault(tmp_path)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)


def test_lines_of_a_log() -> None:
    assert log_lines("a\x1b[2J\n::error::b\n  ::x::\nc ##[group] d::e\u202e") == (
        "a?[2J\n: error::b\n  : x::\nc ##(group] d::e?"
    )
    assert log_lines("sway.yaml::probe – λ\n") == "sway.yaml::probe – λ\n"
    assert clean("\u202eabc\u2069") == "?abc?"


def test_the_end_of_a_long_name_is_kept_at_once() -> None:
    began = time.process_time()
    assert keep_end("x" * 3_000_000 + "end", 5) == "…xend"
    assert width(keep_end("名" * 100_000, 6)) <= 6
    assert time.process_time() - began < 1
