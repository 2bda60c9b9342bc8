"""A spec to begin with, where there are no data to make one of."""

from __future__ import annotations

from pathlib import Path

from pytest_sway.spec_generation.annotated_yaml import comment
from pytest_sway.spec_generation.models_text import BaseFields, models_text

EXAMPLE_BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
_SUITE = """\
# The training data. Each row has the fields messages; prompt and completion; chosen and rejected; or text.
# sections: train.jsonl

suite:
  # Random adapters of the same size and shape. Every effect is compared with these adapters.
  - name: null_baseline
    kind: null_adapter

  # Does the adapter change the model on its training data? Write at least five questions or beginnings of
  # texts from the training data. On other prompts a good adapter looks like noise.
  - name: moved
    kind: delta_kl
    prompts: &prompts
      - The warranty covers
      - To reset the pump
      - Our office in Turin
      - Spare parts are
      - The filter must be

  # Which sections were learned? (needs the key sections above)
  # - name: sections
  #   kind: section_internalization

  # Does the adapter know the answers, also when the question is worded differently?
  # - name: other_wordings
  #   kind: paraphrase_invariance
  #   cases:
  #     - prompt: How long is the warranty?
  #       gold: It lasts two years.
  #       paraphrases: [Tell me how long the warranty is.]

  # Does the model still know general facts? Does the adapter predict general prose as well as the base model?
  - name: facts
    kind: calibration_drift
  - name: prose
    kind: external_perplexity

  # Does the effect grow with the adapter's strength, as expected of a healthy adapter?
  - name: strength
    kind: adapter_ablation
    prompts: *prompts

# All kinds: sway list-probes
"""


def starter_spec(spec: Path, base: str, adapter: Path | None) -> str:
    """A spec that can be read as it is; its prompts are there to be replaced.

    Args:
        spec: where it will be written.
        base: a folder, or a name on the hub.
        adapter: its folder; None: it is yet to be trained.
    """
    head = comment("A starter spec. Replace the prompts, then run it with:  sway run " + spec.name)
    return f"{head}version: 1\n{models_text(spec, BaseFields(base), adapter)}\n{_SUITE}"
