"""An ASGI app on a unix socket, until SIGTERM or SIGINT."""

import os
import signal
import socket
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI

from telemetry.logs import Event, EventLog

BACKLOG = 1024
DRAIN_S = 1
"""How long open answers may go on after SIGTERM. Envoy has stopped by then."""

MAX_HEAD_BYTES = 128 * 1024
"""Of a request: Envoy takes 60 KiB from clients, and the gateway adds who it is."""

_log = EventLog(__name__)


def listen(path: Path) -> socket.socket:
    """Bind a socket that nobody but this user can reach, at any moment. Raises OSError."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.listen(BACKLOG)
    return listening


def ignore(_number: int, _frame: FrameType | None) -> None: ...


def serve(app: FastAPI, path: Path) -> None:
    """Serve until asked to stop. Raises OSError when there is no way to listen at `path`."""
    # uvicorn raises the signal again when it has stopped; a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ignore)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,  # Envoy's has every request
        server_header=False,
        proxy_headers=False,  # who asks is in headers of ours
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_graceful_shutdown=DRAIN_S,
    )
    with listen(path) as listening:
        _log.info(Event.READY, socket=str(path))
        uvicorn.Server(config).run(sockets=[listening])
    path.unlink(missing_ok=True)
    _log.info(Event.STOPPED)
