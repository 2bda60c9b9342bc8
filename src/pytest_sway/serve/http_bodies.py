"""What the daemon's endpoints take and give, for FastAPI and its OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RunRequest(BaseModel):
    """What ``POST /run`` takes."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any]
    spec_path: str | None = Field(default=None, max_length=4096)
    """Its folder is where relative paths begin; the file need not exist."""
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    probe_names: list[str] = Field(default=[], max_length=10_000)
    """Of the probes that are measured; all of them where it is empty."""
    stream: bool = False
    """Whether events are sent as they happen (server-sent events)."""


class ScoreRequest(BaseModel):
    """What ``POST /score`` takes."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any]
    probe_names: list[str] = Field(default=[], max_length=10_000)
    spec_path: str | None = Field(default=None, max_length=4096)
    seed: int | None = Field(default=None, ge=0, lt=2**31)


class Health(BaseModel):
    """What ``GET /health`` gives."""

    status: str
    sway_version: str
    uptime_seconds: float
    loaded_models: list[str]
    """The last parts of their names."""
    max_loaded_models: int


class Stats(BaseModel):
    """What ``GET /stats`` gives."""

    uptime_seconds: float
    request_count: int
    total_run_seconds: float
    mean_run_seconds: float
    cached_backends: int
    max_loaded_models: int
    loaded_bytes: int
    """Of the models' weights."""
    max_memory: int | None
    """Bytes that they may take; null for any."""
    waiting: int
    """Runs in the queue."""


class Refusal(BaseModel):
    """Every answer that is no success."""

    error: str
    run_id: str | None = None
    """Of a run that failed or was cancelled."""
