"""Hooks that pytest-sway calls: implement them in a conftest, a plugin, or an object for ``pytest.main``.

Third-party code builds on :mod:`pytest_sway.probes.base` and :mod:`~pytest_sway.probes.judging.effect`
(kinds), :mod:`pytest_sway.requests` (what is asked), :mod:`pytest_sway.backends.base` (models) and
:mod:`pytest_sway.result` (what came out). ``examples/third_party`` is a package that implements all three.
Each example below is a whole ``conftest.py``, and is run by a test. A plugin that shall also work without
pytest-sway (``-p no:pytest_sway``) marks its hooks ``@pytest.hookimpl(optionalhook=True)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_sway.backends.base import Backend, ModelKey
    from pytest_sway.probes.base import Probe
    from pytest_sway.result import SuiteResult


@pytest.hookspec
def pytest_sway_probes(config: pytest.Config) -> Sequence[type[Probe[Any]]] | None:
    """Register probe kinds, which a ``sway.yaml`` then names like the built-in ones.

    When: while collecting, before the first spec to which the implementation applies is read; once per
    session and implementation. Under xdist every worker collects, and so calls it. A conftest applies to
    specs in its folder and below, and to those that tests there name in a mark; a plugin to all.

    Return: a list of classes derived from :class:`pytest_sway.Probe`, or nothing. ``kind`` is
    the word in the spec, ``category`` one of the composite's, ``claim`` the rule that judges
    (``Claim.EFFECT``, ``NO_HARM``, ``SHAPE``, ``PRE_RUN``); a kind whose ``scale`` is set is compared with
    the null adapters.

    Otherwise: an object that is no such class, an incomplete class, a kind that is built in or that another
    plugin registered, and an exception are collection errors of the spec, in one line that names the plugin.

    Example::

        from statistics import fmean

        from pytest_sway import Claim, Generate, Measurement, Probe, PromptOptions
        from pytest_sway import ask, judge_no_harm, mean_harm


        class FallsSilentOptions(PromptOptions):
            assert_share_lte: float = 0.1


        class FallsSilent(Probe[FallsSilentOptions]):
            kind, category, claim = "falls_silent", "calibration", Claim.NO_HARM
            requires = frozenset({"generate"})

            async def measure(self, views):
                prompts = self.options.prompts
                base = await ask([Generate(prompt, views.base, 4) for prompt in prompts])
                tuned = await ask([Generate(prompt, views.tuned, 4) for prompt in prompts])
                samples = [float(not t.text) - float(not b.text) for b, t in zip(base, tuned)]
                return Measurement(raw=fmean(samples), samples=tuple(samples), items=tuple(prompts))

            def judge(self, measured, nulls):
                harm = mean_harm("more empty answers", measured.samples, self.options.assert_share_lte)
                return judge_no_harm([harm], untouched=not any(measured.samples))


        def pytest_sway_probes(config):
            return [FallsSilent]
    """


@pytest.hookspec(firstresult=True)
def pytest_sway_backend(config: pytest.Config, model: ModelKey) -> Backend | None:
    """Serve a model in place of the spec's own kind.

    When: a test needs a model that is not in memory; once per model, in each xdist worker that needs it. A
    fixture ``sway_backend`` in a conftest comes before the hook. Models belong to the session and not to a
    folder, so every conftest is asked for every model.

    Return: a backend, e.g. a :class:`pytest_sway.AnsweringBackend`, or None to leave it to the next plugin.
    The first one is taken; where no plugin returns one, the spec's own kind is loaded. ``model`` holds the
    spec's ``kind`` and ``base``; the kind ``dummy`` is free for you, and so is ``custom``, whose
    ``entry_point`` is imported only where no hook answers. (A class that a spec names needs no hook:
    ``docs/extending.md``.)

    Otherwise: a :class:`~pytest_sway.BackendError`, and an answer that is no backend,
    fail the items that need the model, in one line each.

    Example::

        from pytest_sway import AnsweringBackend, CompletionScore, Subject, View


        class Polite(AnsweringBackend):
            capabilities = frozenset({"completion", "nulls"})

            def attach(self, adapter):
                return Subject(View("base"), View("base", "adapter"))

            def answer(self, requests):
                return {request: self.score(request) for request in requests}

            def score(self, request):
                likes_it = 0.0 if request.view.is_base or request.view.null else 1.0
                return CompletionScore(-3.0 + likes_it * ("please" in request.completion), tokens=2)


        def pytest_sway_backend(config, model):
            if model.kind == "dummy":
                return Polite()
    """


@pytest.hookspec
def pytest_sway_report(config: pytest.Config, suites: Sequence[SuiteResult]) -> str | Sequence[str] | None:
    """Report the results in a way of your own.

    When: at the end of the session, in the process that reports (never in an xdist worker), after every suite
    was composed and gated and our files were written. Not where no probe was selected, nor under
    ``--collect-only``. A run that was cut short is reported too: its gates say what is missing.

    Return: nothing, a text, or a list of texts: lines that are printed below our summary (without ``-q``),
    control characters replaced. A line that is a workflow command of GitHub stays one. Read ``suites``, do
    not change them.

    Otherwise: an exception, and anything else that is returned, is reported in one line that names the
    plugin, and the run fails (exit status 1 where it was 0); our reports and other plugins' are not affected.

    Example::

        import json


        def pytest_sway_report(config, suites):
            scores = {suite.adapter_id: suite.score.overall for suite in suites}
            path = config.rootpath / "scores.json"
            path.write_text(json.dumps(scores))
            return f"{len(scores)} scores are in {path.name}"
    """
