"""The daemon's HTTP application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from pytest_sway.reports.html import text
from pytest_sway.serve.http_bodies import Health, Refusal, RunRequest, ScoreRequest, Stats
from pytest_sway.serve.http_guard import HttpGuard
from pytest_sway.serve.index_page import index_page
from pytest_sway.serve.metrics import metrics_text
from pytest_sway.serve.request_specs import RequestSpecError, spec_text
from pytest_sway.serve.runs import Run, RunState
from pytest_sway.serve.settings import ServeSettings
from pytest_sway.serve.supervisor import QueueFullError, Supervisor
from pytest_sway.suites.saved_results import parse_saved_result
from pytest_sway.version import __version__

_POLL_S = 0.02
_STOP_PATIENCE_S = 20.0
_SILENCE_S = 10.0
_QUEUE_IS_FULL = "too many runs are queued; try again later"
_REFUSALS = (400, 401, 403, 404, 408, 409, 413, 421, 422, 429, 500, 501, 503, 504)
_CHECKS = asyncio.Semaphore(2)


def make_app(settings: ServeSettings) -> FastAPI:
    """The application; its worker lives as long as it does."""
    supervisor, began = Supervisor(settings.worker), time.monotonic()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        supervisor.start()
        yield
        await asyncio.to_thread(supervisor.stop, _STOP_PATIENCE_S)

    app = FastAPI(title="sway serve", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.supervisor, app.state.settings, app.state.began = supervisor, settings, began
    app.add_middleware(HttpGuard, settings=settings)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(Exception, _broken)
    app.include_router(_router())
    return app


def _router() -> APIRouter:
    router = APIRouter(
        responses={status: {"model": Refusal} for status in _REFUSALS},
        generate_unique_id_function=lambda route: route.name,
    )
    for path, method, name, endpoint, status, kinds in (
        ("/health", "GET", "health", _health, 200, ()),
        ("/stats", "GET", "stats", _stats, 200, ()),
        ("/metrics", "GET", "metrics", _metrics, 200, ("text/plain",)),
        ("/run", "POST", "run", _run, 200, ("application/json", "text/event-stream")),
        ("/score", "POST", "score", _score, 200, ("application/json",)),
        ("/runs/{run_id}", "GET", "find", _find, 200, ("application/json",)),
        ("/runs/{run_id}", "DELETE", "cancel", _cancel, 202, ("application/json",)),
        ("/runs/{run_id}/report", "GET", "report", _report, 200, ("text/html",)),
    ):
        answers: dict[int | str, dict[str, Any]] = {status: {"content": {kind: {} for kind in kinds}}}
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            name=name,
            summary=name,
            status_code=status,
            responses=answers if kinds else None,
        )
    router.add_api_route("/", _index, methods=["GET"], include_in_schema=False)
    router.add_api_route("/favicon.ico", _icon, methods=["GET"], include_in_schema=False)
    return router


def _supervisor(request: Request) -> Supervisor:
    found: Supervisor = request.app.state.supervisor
    return found


def _settings(request: Request) -> ServeSettings:
    found: ServeSettings = request.app.state.settings
    return found


Served = Annotated[Supervisor, Depends(_supervisor)]
Configured = Annotated[ServeSettings, Depends(_settings)]


async def _health(request: Request, supervisor: Served, settings: Configured) -> Health:
    """Whether the daemon lives; no key is needed."""
    return Health(
        status="ok",
        sway_version=__version__,
        uptime_seconds=time.monotonic() - request.app.state.began,
        loaded_models=[Path(model.name).name for model in supervisor.models],
        max_loaded_models=settings.worker.most_models,
    )


async def _stats(request: Request, supervisor: Served, settings: Configured) -> Stats:
    """How much was done so far."""
    count, seconds = supervisor.run_count, supervisor.run_seconds
    return Stats(
        uptime_seconds=time.monotonic() - request.app.state.began,
        request_count=count,
        total_run_seconds=seconds,
        mean_run_seconds=seconds / count if count else 0.0,
        cached_backends=len(supervisor.models),
        max_loaded_models=settings.worker.most_models,
        loaded_bytes=sum(model.size for model in supervisor.models),
        max_memory=settings.worker.most_bytes,
        waiting=supervisor.waiting,
    )


async def _metrics(supervisor: Served) -> Response:
    """The same for Prometheus."""
    return Response(metrics_text(supervisor), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _index(supervisor: Served) -> HTMLResponse:
    """Loaded models and recent runs."""
    return HTMLResponse(index_page(supervisor))


async def _icon() -> Response:
    """Browsers ask for one."""
    return Response(status_code=204)


async def _run(body: RunRequest, supervisor: Served, settings: Configured) -> Response:
    """Evaluate a suite: the JSON of ``sway run --json``, and ``request_seconds``."""
    run = await _submitted(body, supervisor, settings)
    if body.stream:
        return StreamingResponse(_events(run), media_type="text/event-stream")
    await _over(run)
    return _result(run)


async def _score(body: ScoreRequest, supervisor: Served, settings: Configured) -> Response:
    """Evaluate some probes of a suite: their entries alone."""
    run = await _submitted(body, supervisor, settings)
    await _over(run)
    if run.result is None:
        return _result(run)
    return JSONResponse({"probes": run.result["probes"], "request_seconds": run.seconds, "run_id": run.id})


async def _find(run_id: str, supervisor: Served) -> Response:
    """A run and, once it is done, its result."""
    run = _known(supervisor, run_id)
    return JSONResponse({**run.summary(), "result": run.result})


async def _cancel(run_id: str, supervisor: Served) -> Response:
    """Cancel a run: at once where it waits, between two batches where it is measured."""
    run = _known(supervisor, run_id)
    await asyncio.to_thread(supervisor.cancel, run)
    return JSONResponse(run.summary(), 202)


async def _report(run_id: str, supervisor: Served) -> Response:
    """The report of a run as a page."""
    run = _known(supervisor, run_id)
    if run.result is None:
        raise HTTPException(409, f"the run is {run.state}, so no report is available")
    try:
        page = await asyncio.to_thread(lambda: text(parse_saved_result(run.result, "run")))
    except ValueError as error:  # plotly is not installed
        raise HTTPException(501, str(error)) from None
    return HTMLResponse(page)


def _known(supervisor: Supervisor, run_id: str) -> Run:
    run = supervisor.history.find(run_id)
    if run is None:
        raise HTTPException(404, "this run does not exist, or it was removed")
    return run


async def _submitted(body: RunRequest | ScoreRequest, supervisor: Supervisor, settings: ServeSettings) -> Run:
    """A run in the queue."""
    path = Path(body.spec_path) if body.spec_path is not None else None
    folder = path.parent if path is not None else Path()
    _check_names(body.spec.get("suite"), body.probe_names)
    if supervisor.is_full:
        raise HTTPException(429, _QUEUE_IS_FULL)
    try:
        async with _CHECKS:  # reads files; other requests are answered meanwhile
            written = await asyncio.to_thread(
                spec_text, body.spec, folder.absolute(), settings.allowed, body.seed
            )
    except RequestSpecError as error:
        raise HTTPException(400, str(error)) from None
    run = Run(written, tuple(body.probe_names), path.name.encode(errors="replace").decode() if path else "")
    try:
        supervisor.submit(run)
    except QueueFullError:
        raise HTTPException(429, _QUEUE_IS_FULL) from None
    return run


def _check_names(suite: object, asked: Sequence[str]) -> None:
    names = [one.get("name") for one in suite if isinstance(one, dict)] if isinstance(suite, list) else []
    if unknown := [name for name in asked if name not in names]:
        raise HTTPException(400, f"probe_names: the suite has no probe {unknown[0]!r}")


async def _over(run: Run) -> None:
    while not run.is_over:
        await asyncio.sleep(_POLL_S)


async def _events(run: Run) -> AsyncIterator[str]:
    """What happens to a run, as server-sent events; the last one has the result.

    Where nothing happens for long a comment is sent: a client that waits is not to give up.
    """
    yield _event({"event": "queued", "run_id": run.id})
    sent, last = 0, time.monotonic()
    while not run.is_over or sent < len(run.events):
        for event in run.events[sent:]:
            sent, last = sent + 1, time.monotonic()
            yield _event(event)
        if time.monotonic() - last > _SILENCE_S:
            last = time.monotonic()
            yield ": it goes on\n\n"
        await asyncio.sleep(_POLL_S)
    if run.result is not None:
        yield _event({"event": "complete", "result": {**run.result, "request_seconds": run.seconds}})


def _event(content: dict[str, Any]) -> str:
    return f"event: {content['event']}\ndata: {json.dumps(content)}\n\n"


def _result(run: Run) -> Response:
    if run.result is not None:
        return JSONResponse({**run.result, "request_seconds": run.seconds, "run_id": run.id})
    status = {RunState.CANCELLED: 409, RunState.FAILED: run.status}[run.state]
    return JSONResponse({"error": run.error, "run_id": run.id}, status)


async def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    """What a body lacks, in one line; nothing of the body is repeated."""
    assert isinstance(error, RequestValidationError)
    faults = [
        "unknown field"
        if one["type"] == "extra_forbidden"
        else f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}"
        for one in error.errors()
    ]
    return JSONResponse({"error": "; ".join(faults) or "the body is not a JSON object"}, 422)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """A refusal, under the same key as every other one."""
    assert isinstance(error, StarletteHTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _broken(_: Request, error: Exception) -> JSONResponse:
    """A defect of the daemon; its log has the traceback."""
    return JSONResponse({"error": f"the server failed ({type(error).__name__}); see its log"}, 500)
