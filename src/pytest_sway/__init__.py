"""Did this adapter learn what it was meant to, or is it noise, memorisation, damage?

``pytest -m sway`` evaluates a ``sway.yaml``. What tests, conftests, plugins and scripts need is here; each
name is imported when it is first used, so that ``import pytest_sway`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_sway.version import __version__ as __version__

if TYPE_CHECKING:
    from pytest_sway.backends.base import AdapterKey as AdapterKey
    from pytest_sway.backends.base import AnsweringBackend as AnsweringBackend
    from pytest_sway.backends.base import BackendError as BackendError
    from pytest_sway.backends.base import ModelKey as ModelKey
    from pytest_sway.backends.base import Subject as Subject
    from pytest_sway.client import ServeClient as ServeClient
    from pytest_sway.client import ServeClientError as ServeClientError
    from pytest_sway.probes.base import Judgement as Judgement
    from pytest_sway.probes.base import NullSample as NullSample
    from pytest_sway.probes.base import Probe as Probe
    from pytest_sway.probes.base import ProbeSkip as ProbeSkip
    from pytest_sway.probes.judging.no_harm import judge_no_harm as judge_no_harm
    from pytest_sway.probes.judging.no_harm import mean_harm as mean_harm
    from pytest_sway.probes.registry import probe as probe
    from pytest_sway.probes.shared.item_options import PromptOptions as PromptOptions
    from pytest_sway.probes.shared.questions import as_prompt as as_prompt
    from pytest_sway.requests import Completion as Completion
    from pytest_sway.requests import CompletionScore as CompletionScore
    from pytest_sway.requests import Divergence as Divergence
    from pytest_sway.requests import Generate as Generate
    from pytest_sway.requests import Generation as Generation
    from pytest_sway.requests import RequestError as RequestError
    from pytest_sway.requests import View as View
    from pytest_sway.requests import Views as Views
    from pytest_sway.requests import ask as ask
    from pytest_sway.result import Claim as Claim
    from pytest_sway.result import Measurement as Measurement
    from pytest_sway.result import ProbeResult as ProbeResult
    from pytest_sway.result import SuiteResult as SuiteResult
    from pytest_sway.trainers.callback import SwayCallback as SwayCallback

__all__ = [
    "AdapterKey",
    "AnsweringBackend",
    "BackendError",
    "Claim",
    "Completion",
    "CompletionScore",
    "Divergence",
    "Generate",
    "Generation",
    "Judgement",
    "Measurement",
    "ModelKey",
    "NullSample",
    "Probe",
    "ProbeResult",
    "ProbeSkip",
    "PromptOptions",
    "RequestError",
    "ServeClient",
    "ServeClientError",
    "Subject",
    "SuiteResult",
    "SwayCallback",
    "View",
    "Views",
    "as_prompt",
    "ask",
    "judge_no_harm",
    "mean_harm",
    "probe",
]
_MODULES = {
    "backends.base": "AdapterKey AnsweringBackend BackendError ModelKey Subject",
    "client": "ServeClient ServeClientError",
    "probes.base": "Judgement NullSample Probe ProbeSkip",
    "probes.judging.no_harm": "judge_no_harm mean_harm",
    "probes.registry": "probe",
    "probes.shared.item_options": "PromptOptions",
    "probes.shared.questions": "as_prompt",
    "requests": "Completion CompletionScore Divergence Generate Generation RequestError View Views ask",
    "result": "Claim Measurement ProbeResult SuiteResult",
    "trainers.callback": "SwayCallback",
}
"""The modules that the names come from."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first used (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names.split():
            found = getattr(import_module(f"pytest_sway.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What an interactive session completes."""
    return sorted([*globals(), *__all__])
