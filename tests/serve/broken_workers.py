"""Processes that a supervisor starts in place of its worker."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection

from pytest_sway.serve.messages import Finished


def unreadable(connection: Connection, *_: object) -> None:
    """Answers every run with bytes that are no message."""
    while True:
        connection.recv()
        connection.send_bytes(b"\x80\x04no pickle")


def crashing(connection: Connection, *_: object) -> None:
    """Ends at its first run."""
    connection.recv()
    os._exit(7)


def sleeping(connection: Connection, *_: object) -> None:
    """Takes its first run, says so by leaving the pipe empty, and does nothing."""
    connection.recv()
    time.sleep(60)


def confused(connection: Connection, *_: object) -> None:
    """Says first what became of another run."""
    job = connection.recv()
    connection.send(Finished("another", {"of": "another"}))
    connection.send(Finished(job.run, {"of": "this"}))
    connection.recv()


def littering(connection: Connection, _models: int, _bytes: int | None, scratch: str) -> None:
    """Leaves a file behind, says where, and ends."""
    connection.recv()
    with open(os.path.join(scratch, "model.gguf"), "w") as file:  # noqa: PTH118, PTH123
        file.write("large")
    os._exit(0)
