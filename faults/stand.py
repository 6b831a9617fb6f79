"""A whole gateway, started as a user starts it: `headgate up` in a process of its own."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import httpx
import yaml

from extproc.cli.layout import Layout
from extproc.cli.preflight import free_port
from extproc.settings import inherited

ROOT = Path(__file__).parents[1]
START_S, STOP_S = 60.0, 60.0
"""Guards against hanging: a few seconds are enough where nothing else runs."""

T = TypeVar("T")


class StandError(Exception):
    """The gateway did not start, or left something behind."""


def wait_for(check: Callable[[], T | None], deadline_s: float = 40, what: str = "it") -> T:
    """Ask until the answer is true; return it. A guard against hanging, not a measurement: longer than the gateway
    itself waits for anything (15 s for pools).

    Raises: StandError.
    """
    until = time.monotonic() + deadline_s
    while not (found := check()):
        if time.monotonic() > until:
            raise StandError(f"waited {deadline_s:g} s for {what}")
        time.sleep(0.05)
    return found


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an engine has counted."""

    prompt: int
    generation: int


@dataclass
class Stand:
    """One running `headgate up`."""

    process: subprocess.Popen[bytes]
    state: Path
    port: int
    metrics_port: int

    @classmethod
    def start(
        cls,
        state: Path,
        *flags: str,
        env: Mapping[str, str] | None = None,
        start_s: float = START_S,
    ) -> Self:
        """Start it on free ports and wait until it is ready. Raises: StandError."""
        port, metrics_port = free_port(), free_port()
        command = [
            *(sys.executable, "-m", "extproc.cli", "up", "--state", str(state)),
            *("--port", str(port), "--metrics-port", str(metrics_port), *flags),
        ]
        said = state.parent / f"{state.name}.out"
        with said.open("w") as output:
            process = subprocess.Popen(  # noqa: S603 - ours
                command,
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**inherited(), **(env or {})},
            )
        stand = cls(process, state, port, metrics_port)

        def ready() -> bool:
            if process.poll() is not None:
                raise StandError(said.read_text())
            return "Headgate is ready" in said.read_text()

        try:
            wait_for(ready, start_s, "the gateway")
        except BaseException:
            process.terminate()
            raise
        return stand

    @classmethod
    @contextlib.contextmanager
    def running(
        cls,
        state: Path,
        *flags: str,
        env: Mapping[str, str] | None = None,
        start_s: float = START_S,
    ) -> Generator[Self]:
        """Start it, and stop it at the end. Raises: StandError when it leaves something behind."""
        stand = cls.start(state, *flags, env=env, start_s=start_s)
        try:
            yield stand
        finally:
            if stand.process.poll() is None:
                stand.end()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def layout(self) -> Layout:
        return Layout(self.state)

    def engines(self) -> list[str]:
        """`ip:port` of the engines it started or was given."""
        written = yaml.safe_load((self.layout.policy / "engines.yaml").read_text())
        return [str(endpoint) for pool in written["pools"] for endpoint in pool["endpoints"]]

    def engine_tokens(self) -> dict[str, Tokens]:
        """What each engine has counted, by endpoint."""
        return {endpoint: read_tokens(endpoint) for endpoint in self.engines()}

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30).text

    def children(self) -> dict[int, str]:
        """Command lines of what it started, by pid."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[1]) == self.process.pid:
                        line = (entry / "cmdline").read_text()
                        found[int(entry.name)] = line.replace("\0", " ")
        return found

    def pids_of(self, command: str) -> list[int]:
        """Children with these words in their command line, oldest first."""
        return sorted(pid for pid, line in self.children().items() if command in line)

    def worker_pids(self) -> list[int]:
        return self.pids_of("-m extproc ")

    def settle_pids(self) -> list[int]:
        return self.pids_of("-m ledger ")

    def envoy_pids(self) -> list[int]:
        return self.pids_of(str(self.layout.bootstrap))

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def end(self) -> None:
        """Stop it and look behind it. Raises: StandError."""
        children = self.children()
        if code := self.stop():
            raise StandError(f"`headgate up` ended with exit code {code}")
        if left := [line for pid, line in children.items() if Path(f"/proc/{pid}").exists()]:
            raise StandError(f"orphans: {left}")
        if sockets := list(self.layout.run.glob("*.sock")):
            raise StandError(f"sockets left behind: {sockets}")


def read_tokens(endpoint: str) -> Tokens:
    """Ask an engine for its counters."""
    totals = {"vllm:prompt_tokens_total": 0, "vllm:generation_tokens_total": 0}
    for line in httpx.get(f"http://{endpoint}/metrics", timeout=30).text.splitlines():
        name = line.partition("{")[0]
        if name in totals:
            totals[name] += int(float(line.split()[-1]))
    return Tokens(*totals.values())
