"""A whole gateway, started as a user starts it: `headgate up` in a process of its own."""

import contextlib
import json
import socket
import sqlite3
from dataclasses import dataclass

import httpx
import pytest
from openai import OpenAI

from engines.vllm import read_load
from extproc.cli.preflight import free_port
from faults.stand import ROOT, Stand, wait_for
from tests.e2e.hunting import HUNT, recorded, summary

__all__ = [
    "ACME", "GLOBEX", "ROOT", "events", "free_port", "refusing", "running", "start", "wait_for",
]  # fmt: skip

ACME, GLOBEX = "sk-headgate-acme", "sk-headgate-globex"


@dataclass
class Gateway(Stand):
    """One running `headgate up`, and what tests ask of it. Planted values are looked for as it stops."""

    @classmethod
    def start(cls, state, *flags, **options):
        gateway = super().start(state, *flags, **options)
        HUNT.begin(gateway)
        return gateway

    def stop(self):
        try:
            HUNT.before(self)
        finally:
            code = super().stop()
        HUNT.after(self)
        HUNT.check()
        return code

    def client(self, key=ACME, **options):
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, **options)

    def http(self, key=ACME, **options):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)

    def rows(self, where="1", *values):
        """Ledger rows, as dicts."""
        with contextlib.closing(sqlite3.connect(self.state / "ledger.sqlite")) as ledger:
            ledger.row_factory = sqlite3.Row
            return [dict(r) for r in ledger.execute(f"select * from request where {where}", values)]

    def row(self, request_id):
        """The row of one request, once it is settled."""
        (row,) = wait_for(lambda: self.rows("request_id = ?", request_id), what="the ledger row")
        return row

    def counters(self):
        """Prompt and generation tokens that all engines counted."""
        counted = self.engine_tokens().values()
        return [sum(c.prompt for c in counted), sum(c.generation for c in counted)]

    def rest(self):
        """Wait until no engine is at work: it may be, for somebody who has left."""
        wait_for(lambda: not any(map(count_running, self.engines())), what="engines at rest")

    def envoy_count(self, name):
        """One of Envoy's own numbers."""
        transport = httpx.HTTPTransport(uds=str(self.layout.admin_socket))
        with httpx.Client(transport=transport, base_url="http://envoy", timeout=30) as admin:
            told = admin.get("/stats", params={"filter": f"^{name}$"}).text
        return int(told.removeprefix(f"{name}: "))


start, running = Gateway.start, Gateway.running


@pytest.fixture(scope="session", autouse=True)
def hunted(tmp_path_factory):
    """Before any gateway, so it ends after all of them."""
    with recorded(tmp_path_factory.mktemp("engines")):
        yield
    HUNT.finish(tmp_path_factory.getbasetemp())
    HUNT.check()


COUNTS = pytest.StashKey()
"""What the workers of pytest-xdist have searched."""


def pytest_configure(config):
    config.stash[COUNTS] = []


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["hunt"] = HUNT.counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    if told := getattr(node, "workeroutput", {}).get("hunt"):
        node.config.stash[COUNTS].append(told)


def pytest_terminal_summary(terminalreporter, config):
    terminalreporter.write_line(summary([*config.stash[COUNTS], HUNT.counts()]))


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    """One gateway with the demo policy and two built-in engines, shared by tests that do not harm it."""
    with running(tmp_path_factory.mktemp("gw") / "s") as shared:
        yield shared


@pytest.fixture
def client(gateway):
    return gateway.client()


def count_running(endpoint):
    """Requests that an engine of ours has in hand."""
    return read_load(httpx.get(f"http://{endpoint}/metrics", timeout=30).content).running


@contextlib.contextmanager
def refusing():
    """An endpoint where nobody listens, and nobody can: its port is taken, unlike one that is free."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def events(text):
    """SSE text -> its data documents, without `[DONE]`."""
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]
