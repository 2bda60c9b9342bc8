"""Loads the backend of ``kind: api``."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING

from pytest_sway.backends.base import BackendError, ModelKey
from pytest_sway.backends.hf.error_text import missing_package
from pytest_sway.requests import RequestError

if TYPE_CHECKING:
    from pytest_sway.backends.api.backend import APIBackend

_WORKERS = "PYTEST_XDIST_WORKER_COUNT"
TRIAL_TEXT = "Don't tokenise 1,234 naïve words twice: x_y = {'a': [0.5]}  # 東京 🙂"
"""What tokenizers disagree on: apostrophes, digits, spaces, accents, and letters beyond the Latin ones."""


def load_backend(key: ModelKey, moment: datetime | None = None) -> APIBackend:
    """The base model of a spec on a server, after a handshake.

    Args:
        key: names the server and the model.
        moment: what chat templates print as the present; by default the time of the call.

    Raises:
        BackendError: it cannot be asked truthfully.
    """
    try:
        import filelock  # noqa: F401
        import httpx  # noqa: F401
        import msgspec  # noqa: F401
        import tenacity  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise BackendError(missing_package("kind: api", error, "api")) from error
    from pytest_sway.backends.api.backend import APIBackend
    from pytest_sway.backends.api.connections import Connections
    from pytest_sway.backends.api.handshake import check_supported, find_model, shake_hands
    from pytest_sway.backends.api.served_subject import ServedBase, ServedModelName
    from pytest_sway.backends.api.tokenizer_folder import find_tokenizer_folder, read_tokenizer
    from pytest_sway.backends.api.truth_checks import TrialText
    from pytest_sway.backends.hf.prompts.prompt_tokenizer import PromptTokenizer
    from pytest_sway.backends.hf.prompts.spec_chat_template import read_template_settings

    _check_fields(key)
    connections = Connections(int(os.environ.get(_WORKERS, "1")))
    try:
        client = connections.client(key.endpoint, key.api_key)
        check_supported(client)
        served = find_model(client.models(), key.base, client.session.url)
        folder = find_tokenizer_folder(key, served.root)
        tokenizer = read_tokenizer(folder)
        ids = tuple(tokenizer(TRIAL_TEXT, add_special_tokens=False).input_ids)
        trial = TrialText(TRIAL_TEXT, ids, len(tokenizer))
        facts = shake_hands(client, key.base, trial, key.top_k)
        tokens = PromptTokenizer(tokenizer, read_template_settings(key, tokenizer, moment))
        base = ServedBase(ServedModelName(client, key.base), facts, trial)
        return APIBackend(key, base, tokens, folder, connections)
    except RequestError as error:
        connections.close()
        raise BackendError(f"the request to the server for {key.base!r} failed: {error}") from error
    except BaseException:
        connections.close()
        raise


def _check_fields(key: ModelKey) -> None:
    """Raise BackendError for what this kind cannot do."""
    if key.device != "auto":
        raise BackendError(
            f"models.ft.device: {key.device} is not supported by kind: api, which uses the server's device; "
            "remove the field"
        )
    if key.trust_remote_code:
        raise BackendError(
            "models.ft.trust_remote_code is not supported by kind: api, which does not run model code; "
            "remove the field"
        )
