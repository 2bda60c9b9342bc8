"""What the doors import, once for all cases: in a case it would count as its own time and memory."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import peft  # noqa: F401
import torch
import torch.serialization
import transformers.models.auto.tokenization_auto
import transformers.models.llama.modeling_llama  # noqa: F401

import pytest_sway.backends.hf.backend
import pytest_sway.backends.hf.load_backend
import pytest_sway.backends.hf.null_weights
import pytest_sway.cli.main
import pytest_sway.items.engine_setup
import pytest_sway.items.marks
import pytest_sway.items.outcome
import pytest_sway.items.suite_planning
import pytest_sway.reports.html
import pytest_sway.reports.json_report
import pytest_sway.reports.junit
import pytest_sway.reports.junit_document
import pytest_sway.reports.terminal
import pytest_sway.reports.trace_report
import pytest_sway.training.log_reader
import pytest_sway.training.optimizer_state  # noqa: F401
from pytest_sway.probes import registry

torch.set_num_threads(1)
for kind in registry.kinds():
    registry.find(kind)
