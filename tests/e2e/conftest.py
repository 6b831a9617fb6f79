"""A whole gateway, started as a user starts it: `headgate up` in a process of its own."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

ROOT = Path(__file__).parents[2]
ACME, GLOBEX = "sk-headgate-acme", "sk-headgate-globex"
START_S, STOP_S = 60, 15


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(check, deadline_s=15, what="it"):
    """Ask until the answer is true; return it. A guard against hanging, not a measurement."""
    until = time.monotonic() + deadline_s
    while not (found := check()):
        assert time.monotonic() < until, f"waited {deadline_s} s for {what}"
        time.sleep(0.05)
    return found


@dataclass
class Gateway:
    """One running `headgate up`."""

    process: subprocess.Popen
    state: Path
    port: int
    metrics_port: int

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, key=ACME, **options):
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, **options)

    def http(self, key=ACME, **options):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)

    def engines(self):
        """`ip:port` of the engines it started."""
        text = (self.state / "policy" / "engines.yaml").read_text()
        return [line.split()[-1] for line in text.splitlines() if line.strip().startswith("- 127.")]

    def rows(self, where="1", *values):
        """Ledger rows, as dicts."""
        with contextlib.closing(sqlite3.connect(self.state / "ledger.sqlite")) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(r) for r in ledger.execute(f"select * from request where {where}", values)]

    def row(self, request_id):
        """The row of one request, once it is settled."""
        (row,) = wait_for(lambda: self.rows("request_id = ?", request_id), what="the ledger row")
        return row

    def metrics(self):
        return httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").text

    def counters(self):
        """Prompt and generation tokens that all engines counted."""
        totals = [0, 0]
        for endpoint in self.engines():
            for line in httpx.get(f"http://{endpoint}/metrics").text.splitlines():
                for index, name in enumerate(("prompt", "generation")):
                    if line.startswith(f"vllm:{name}_tokens_total"):
                        totals[index] += int(float(line.split()[-1]))
        return totals

    def children(self):
        """Command line -> pid of what it started."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    stat = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(stat[1]) == self.process.pid:
                        found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return found

    def worker_pids(self):
        return [pid for pid, line in self.children().items() if "-m extproc" in line]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


def start(state, *flags, env=None, start_s=START_S):
    port, metrics_port = free_port(), free_port()
    command = [
        sys.executable, "-m", "extproc.cli", "up", "--state", str(state), "--port", str(port),
        "--metrics-port", str(metrics_port), *flags,
    ]  # fmt: skip
    said = state.parent / f"{state.name}.out"
    with said.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )
    gateway = Gateway(process, state, port, metrics_port)

    def ready():
        assert process.poll() is None, said.read_text()
        return "Headgate is ready" in said.read_text()

    wait_for(ready, start_s, "the gateway")
    return gateway


@contextlib.contextmanager
def running(state, *flags, env=None, start_s=START_S):
    gateway = start(state, *flags, env=env, start_s=start_s)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            children = gateway.children()
            assert gateway.stop() == 0
            left = [line for pid, line in children.items() if Path(f"/proc/{pid}").exists()]
            assert not left, f"orphans: {left}"
            assert not list((state / "run").glob("*.sock"))


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """One gateway with the demo policy and two built-in engines, shared by tests that do not harm it."""
    with running(tmp_path_factory.mktemp("gw") / "s") as shared:
        yield shared


@pytest.fixture
def client(gateway):
    return gateway.client()


def events(text):
    """SSE text -> its data documents, without `[DONE]`."""
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]
