"""Vocabularies are compared by what can be embedded: every id has a row on both sides and means the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pytest_sway.backends.base import AdapterKey, BackendError
from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
from pytest_sway.backends.hf.prompts.vocabulary import shared_vocabulary
from tests.support.hf_models import ROWS, logprobs
from tests.support.paths import QUICKSTART
from tests.support.tiny_models import SIZES, backend_of, random_base, tokenizer_to

WORDS = {"[UNK]": 0, "a": 1, "b": 2, "c": 3}
FROM_THE_START = [0, 0, 0]


def word_tokenizer(vocabulary: dict[str, int]) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="[UNK]")))


@pytest.mark.parametrize(
    ("theirs", "note"),
    [
        (WORDS, None),
        (
            {**WORDS, "<pad>": 4},
            "the adapter's tokenizer has one more token than the base model's tokenizer ('<pad>', id 4)",
        ),
        ({**WORDS, "x": 7, "y": 6}, "2 more tokens than the base model's tokenizer (first: 'y', id 6)"),
        (
            {"[UNK]": 0, "a": 1, "b": 2},
            "the base model's tokenizer has one more token than the adapter's tokenizer ('c', id 3)",
        ),
    ],
)
def test_ids_that_have_a_row_and_one_meaning_are_compared(
    tmp_path: Path, theirs: dict[str, int], note: str | None
) -> None:
    word_tokenizer(theirs).save_pretrained(tmp_path)
    found = shared_vocabulary(PromptTokenizer(word_tokenizer(WORDS)), tmp_path, rows=8)
    assert found.needed_rows == max({**WORDS, **theirs}.values()) + 1
    assert [note in found.notes[0]] == [True] if note else not found.notes


@pytest.mark.parametrize(
    ("theirs", "says"),
    [
        (
            {**WORDS, "<pad>": 8},
            "'<pad>' with the id 8, but the base model's embedding has only 8 rows (0 to 7)",
        ),
        ({**WORDS, "d": 3, "c": 4}, "id 3 is 'd', but 'c' in the base model's tokenizer"),
        ({"[UNK]": 0, "b": 1, "a": 2, "c": 3}, "id 1 is 'b', but 'a' in the base model's tokenizer"),
        ({"[UNK]": 0, "a": 1, "b": 2, "c": 5}, "'c' has the id 5, but the id 3 in the base model"),
    ],
)
def test_an_id_without_a_row_or_with_two_meanings_is_named(
    tmp_path: Path, theirs: dict[str, int], says: str
) -> None:
    word_tokenizer(theirs).save_pretrained(tmp_path)
    with pytest.raises(BackendError) as found:
        shared_vocabulary(PromptTokenizer(word_tokenizer(WORDS)), tmp_path, rows=8)
    assert says in str(found.value)


CODE = "from transformers import PreTrainedTokenizerFast\nclass Own(PreTrainedTokenizerFast):\n    pass\n"


def test_a_tokenizers_own_code_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    word_tokenizer(WORDS).save_pretrained(tmp_path)
    (tmp_path / "tokenization_own.py").write_text(CODE)
    file = tmp_path / "tokenizer_config.json"
    own = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": [None, "tokenization_own.Own"]}}
    file.write_text(json.dumps({**json.loads(file.read_text()), **own}))
    base = PromptTokenizer(word_tokenizer(WORDS))
    with pytest.raises(BackendError, match=r"set trust_remote_code: true for models\.base and models\.ft"):
        shared_vocabulary(base, tmp_path, rows=8)
    found = shared_vocabulary(base, tmp_path, rows=8, trust_remote_code=True)
    assert found.needed_rows == 4


def test_an_unloadable_tokenizer_is_reported_in_one_line(tmp_path: Path) -> None:
    word_tokenizer(WORDS).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(BackendError, match="cannot be loaded") as found:
        shared_vocabulary(PromptTokenizer(word_tokenizer(WORDS)), tmp_path, rows=8)
    assert "\n" not in str(found.value)


def llama(folder: Path, rows: int, tied: bool) -> Path:
    random_base(
        folder,
        LlamaForCausalLM,
        LlamaConfig(**{**SIZES, "vocab_size": rows}, intermediate_size=48, tie_word_embeddings=tied),
    )
    return folder


def resized(base: Path, folder: Path, rows: int, **options: Any) -> Any:
    """An adapter trained on the base with another number of rows; as it was trained."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(1)
    model.resize_token_embeddings(rows, mean_resizing=False)
    options = {"target_modules": ["q_proj"], **options}
    tuned = get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    tuned.save_pretrained(folder, save_embedding_layers=True)
    return tuned.eval()


SAVED: dict[str, Any] = {"modules_to_save": ["embed_tokens", "lm_head"]}
RESIZED = [
    pytest.param(4160, 4097, False, SAVED, id="cut"),
    pytest.param(4160, 4224, True, SAVED, id="rounded up, tied"),
    pytest.param(4160, 4097, True, {}, id="cut, tied, not trained"),
    pytest.param(4100, 4224, False, {"target_modules": ["q_proj", "embed_tokens", "lm_head"]}, id="low rank"),
    pytest.param(4100, 4224, False, {"use_dora": True, **SAVED}, id="DoRA"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("base_rows", "rows", "tied", "options"), RESIZED)
def test_rows_that_no_token_uses_may_differ(
    tmp_path: Path, base_rows: int, rows: int, tied: bool, options: dict[str, Any]
) -> None:
    base, folder = llama(tmp_path / "base", base_rows, tied), tmp_path / "adapter"
    tuned = resized(base, folder, rows, **options)
    tokenizer_to(folder)
    backend = backend_of(base)
    subject = backend.attach(AdapterKey(str(folder)))
    found = logprobs(backend, ROWS, subject.tuned, FROM_THE_START)
    untouched = logprobs(backend, ROWS, subject.base, FROM_THE_START)
    both = min(rows, base_rows)
    for row, one, other in zip(ROWS, found, untouched, strict=True):
        with torch.inference_mode():
            expected = tuned(torch.tensor([row])).logits[0][:, :both].log_softmax(-1)
        torch.testing.assert_close(one[:, :both].log_softmax(-1), expected, atol=2e-4, rtol=0)
        assert float((one - other).abs().max()) > 0.01
    assert any(
        f"have {rows} rows, and the base model's embeddings have {base_rows}" in note
        for note in subject.notes
    )


def test_rows_that_a_token_needs_are_not_made_up(tmp_path: Path) -> None:
    """A base that was not rounded up, and an adapter whose further row is for a token, or may be."""
    base, folder = llama(tmp_path / "base", 4096, False), tmp_path / "adapter"
    resized(base, folder, 4097, **SAVED)
    backend = backend_of(base)
    with pytest.raises(
        BackendError, match=r"contains no tokenizer that defines the tokens of the additional rows"
    ):
        backend.attach(AdapterKey(str(folder)))
    small = tmp_path / "small"
    resized(base, small, 4000, **SAVED)
    with pytest.raises(
        BackendError, match=r"token ids up to 4095, but the adapter's embedding matrix has only 4000"
    ):
        backend.attach(AdapterKey(str(small)))


@pytest.mark.slow
def test_a_head_of_another_width_is_another_base(tmp_path: Path) -> None:
    base, folder = llama(tmp_path / "base", 4096, False), tmp_path / "adapter"
    shutil.copytree(QUICKSTART / "adapters" / "healthy", folder)
    resized(QUICKSTART / "base", folder, 4160, modules_to_save=["lm_head"])
    with pytest.raises(BackendError, match="use the base model that the adapter was trained on"):
        backend_of(base).attach(AdapterKey(str(folder)))
