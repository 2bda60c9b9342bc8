"""Special tokens once, boundaries on ids; with tokenizers that do it differently."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.requests import RequestError, ToolPrompt, Turn
from tests.support.peft_adapters import BASE

REAL = PromptTokenizer(AutoTokenizer.from_pretrained(BASE))


def letters(template: str | None) -> PromptTokenizer:
    """One letter, one token, but for the pair "ab"; special tokens as the template says."""
    vocabulary = {c: i for i, c in enumerate("abcdefgh ")} | {"ab": 9, "<s>": 10, "</s>": 11}
    raw = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
    raw.pre_tokenizer = pre_tokenizers.Split(" ", "isolated")
    if template is not None:
        raw.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[("<s>", 10), ("</s>", 11)]
        )
    return PromptTokenizer(PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>"))


@pytest.mark.parametrize(
    ("template", "expected"),
    [(None, [2, 3]), ("<s> $A", [10, 2, 3]), ("<s> $A </s>", [10, 2, 3]), ("$A </s>", [2, 3])],
)
def test_tokens_before_a_text_are_kept_and_tokens_after_are_not(
    template: str | None, expected: list[int]
) -> None:
    assert letters(template).encode("cd") == expected


def test_a_chat_has_one_beginning_of_text() -> None:
    ids = REAL.encode((Turn("user", "Hello"), Turn("assistant", "Hi."), Turn("user", "Well?")))
    bos = REAL.tokenizer.bos_token_id
    assert ids.count(bos) == 1
    assert ids[0] == bos
    assert REAL.encode("Hello").count(bos) == 1


def test_dialogues_need_a_template() -> None:
    with pytest.raises(RequestError, match="no chat template"):
        letters(None).encode((Turn("user", "a"),))


def test_a_template_that_refuses_is_reported() -> None:
    tokens = letters(None)
    tokens.tokenizer.chat_template = "{{ raise_exception('no system turns here') }}"
    with pytest.raises(RequestError, match="no system turns here"):
        tokens.encode((Turn("user", "a"),))


@pytest.mark.parametrize(
    ("template", "prompt", "completion", "ids", "first"),
    [
        ("<s> $A", "c", "d", [10, 2, 3], 2),
        ("<s> $A", "a", "b", [10, 9], 1),
        ("<s> $A", "ca", "bd", [10, 2, 9, 3], 2),
        ("<s> $A", "", "cd", [10, 2, 3], 1),
        (None, "", "cd", [2, 3], 1),
        (None, "a", "bc", [9, 2], 1),
        ("<s> $A </s>", "c", "d", [10, 2, 3], 2),
    ],
)
def test_a_token_across_the_boundary_belongs_to_the_completion(
    template: str | None, prompt: str, completion: str, ids: list[int], first: int
) -> None:
    assert letters(template).encode_pair(prompt, completion) == (ids, first)


@pytest.mark.parametrize(("template", "prompt", "completion"), [("<s> $A", "cd", ""), (None, "", "c")])
def test_a_completion_without_a_token_to_score_is_refused(
    template: str | None, prompt: str, completion: str
) -> None:
    with pytest.raises(RequestError, match="adds no token that can be scored"):
        letters(template).encode_pair(prompt, completion)


def test_an_empty_prompt_without_specials_is_refused() -> None:
    with pytest.raises(RequestError, match="empty prompt"):
        letters(None).encode("")


@given(st.text(max_size=30), st.text(min_size=1, max_size=30))
def test_prompt_and_completion_are_one_text(prompt: str, completion: str) -> None:
    """The ids are those of the whole text, and what precedes the boundary are the prompt's own."""
    ids, first = REAL.encode_pair(prompt, completion)
    assert ids == REAL.encode(prompt + completion)
    assert ids[:first] == REAL.encode(prompt)[:first]
    assert 1 <= first < len(ids)


@given(st.text(alphabet="abcdefgh ", min_size=1, max_size=30))
def test_a_text_is_cut_into_tokens_whose_ends_are_known(text: str) -> None:
    cut = REAL.tokenized(text)
    assert cut.ids == tuple(REAL.tokenizer(text, add_special_tokens=False).input_ids)
    assert cut.ends[-1] == len(text)
    assert list(cut.ends) == sorted(cut.ends)


def test_tools_are_shown_by_a_template_that_knows_them() -> None:
    tokens = letters(None)
    assert tokens.capabilities == {"tokens"}
    tokens = letters(None)
    tokens.tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    assert tokens.capabilities == {"tokens", "chat_template"}
    tokens = letters(None)
    tokens.tokenizer.chat_template = (
        "{% if tools %}{{ tools | length }}{{ tools[0]['name'] }} {% endif %}{{ messages[0]['content'] }}"
    )
    assert tokens.capabilities == {"tokens", "chat_template", "tools"}
    shown = tokens.encode(ToolPrompt((Turn("user", "a"),), ('{"name": "cd"}',)))
    assert shown == [2, 3, 8, 0]
