"""Built-in engines, each a process of its own, that cases kill, stop and start again."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import httpx

from engines.vllm import read_load
from extproc.cli.preflight import free_port
from faults.stand import wait_for

ASK_S = 5.0
"""Longest wait for an engine's own word."""


class Sim:
    """One engine, always on the same port."""

    def __init__(self, *flags: str) -> None:
        self.port = free_port()
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None
        self.hangs = False

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return at once; `is_ready` tells."""
        command = [sys.executable, "-m", "engines.sim", "--port", str(self.port)]
        self._process = subprocess.Popen(  # noqa: S603 - ours
            [*command, "--model", "demo", *self._flags], stdout=subprocess.DEVNULL
        )

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{self.endpoint}/health", timeout=ASK_S).status_code == 200
        return False

    def has_work(self) -> bool:
        """Whether a request runs there now."""
        text = httpx.get(f"http://{self.endpoint}/metrics", timeout=ASK_S).content
        return read_load(text).running > 0

    def fault(self, **members: float) -> None:
        """Switch faults of the whole engine; they stay."""
        url = f"http://{self.endpoint}/x_sim/faults"
        httpx.post(url, json=members, timeout=ASK_S).raise_for_status()

    def kill(self) -> None:
        """End it at once, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process, self.hangs = None, False

    def hang(self) -> None:
        """Stop it: its connections stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)
        self.hangs = True

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self.hangs = False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it was killed"
        os.kill(self._process.pid, number)


def start_all(sims: Sequence[Sim]) -> None:
    """Start those that are not up, together. Raises: StandError."""
    for sim in sims:
        if not sim.is_up:
            sim.start()
    wait_for(lambda: all(sim.is_ready() for sim in sims), what="the engines")


@contextmanager
def running(sims: Sequence[Sim]) -> Generator[None]:
    """Have them for the length of the block. Raises: StandError."""
    try:
        start_all(sims)
        yield
    finally:
        for sim in sims:
            sim.kill()
