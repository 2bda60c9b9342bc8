"""The one moment of a run: what chat templates print as the present."""

from __future__ import annotations

from datetime import datetime

import pytest

from pytest_sway.session.xdist_workers import MOMENT

_MOMENT = pytest.StashKey[datetime]()


def session_moment(config: pytest.Config) -> datetime:
    """The same for every model of the run; under xdist the controller's, the same for every worker."""
    if _MOMENT not in config.stash:
        sent = getattr(config, "workerinput", {}).get(MOMENT)
        config.stash[_MOMENT] = datetime.fromisoformat(sent) if sent else _now()
    return config.stash[_MOMENT]


def _now() -> datetime:
    from pytest_sway.backends.hf.prompts.chat_template import current_time

    return current_time()
