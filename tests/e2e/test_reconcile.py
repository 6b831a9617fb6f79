"""The ledger against the engines' counters, through the whole gateway; and what is told when they
are apart."""

import asyncio
import contextlib
import http.server
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter

import httpx
import pytest

from extproc.cli.plan import DEMO_POLICY
from ledger.database import open_database
from ledger.reconcile_report import find
from tests.e2e.conftest import ACME, ROOT, running, wait_for
from tests.http_server import Server

POLICY = """\
alerts:
  webhooks: [{name: ops, url: {env: HOOK}, kinds: [ledger_drift, unattributed]}]
  drift: {tokens: 500, share: 0, for_s: 0.5}
ledger: {reconcile_interval_s: 0.5}
"""
CHAT = "/v1/chat/completions"


class Hook(http.server.BaseHTTPRequestHandler):
    """Takes what a chat would be told."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


@pytest.fixture(scope="module")
def hook():
    with Server(("127.0.0.1", 0), Hook) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextlib.contextmanager
def looking(directory, hook):
    """A gateway that looks twice a second."""
    policy = directory / "policy"
    shutil.copytree(DEMO_POLICY, policy)
    (policy / "watch.yaml").write_text(POLICY)
    env = {"HOOK": f"http://127.0.0.1:{hook.server_port}/verysecret"}
    with running(directory / "s", "--policy", str(policy), env=env) as gateway:
        wait_for(lambda: len(findings(gateway)) == 2, what="the first look")
        time.sleep(1.2)  # what begins within a second of the first look is at its edge
        yield gateway


@pytest.fixture(scope="module")
def own(tmp_path_factory, hook):
    with looking(tmp_path_factory.mktemp("reconcile"), hook) as gateway:
        yield gateway


def findings(own):
    """What `headgate reconcile` would say, without starting it."""
    with (
        contextlib.closing(open_database(own.layout.ledger)) as database,
        database.transaction() as connection,
    ):
        return find(connection, None)


def reconcile(own, *flags):
    done = subprocess.run(
        [sys.executable, "-m", "extproc.cli", "reconcile", "--json", "--state", own.state, *flags],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    assert document["ok"] is (done.returncode == 0)
    return document


def chat(content="hi there", **members):
    return {"model": "demo", "messages": [{"role": "user", "content": content}], **members}


async def ask(client, path, body):
    return (await client.post(path, json=body)).status_code


async def leave(client, body, events):
    """Read so many events of a stream and go away."""
    async with client.stream("POST", CHAT, json={**body, "stream": True}) as answer:
        lines = answer.aiter_lines()
        for _ in range(events):
            await anext(lines)
    return "left"


async def leave_early(client, body):
    with contextlib.suppress(httpx.ReadTimeout):
        await client.post(CHAT, json=body, timeout=httpx.Timeout(30, read=0.3))
    return "left early"


def mixed(client):
    """100 requests of every kind, as many as it takes of those that are hard to account for."""
    for number in range(20):
        yield ask(client, CHAT, chat(f"question {number} " * (number + 1), max_tokens=30))
        yield ask(client, CHAT, chat(n=1 + number % 4, max_tokens=20, stream=number % 2 == 0))
    for number in range(10):
        yield ask(client, "/v1/completions", {"model": "demo", "prompt": ["a b", "c"], "n": 2})
        yield ask(client, "/v1/embeddings", {"model": "demo", "input": "some words " * number})
        yield leave(client, chat("a long story", max_tokens=400, x_sim={"itl_ms": 10}), 6)
    for number in range(5):
        yield leave(client, chat("two", n=2, max_tokens=300, x_sim={"itl_ms": 10}), 4 + number)
        yield leave_early(client, chat("whole", max_tokens=400, x_sim={"itl_ms": 10}))
        yield leave_early(client, chat("slow", max_tokens=5, x_sim={"ttft_ms": 2000}))
        yield ask(client, CHAT, chat("gone", x_sim={"fault": "cut_before_headers"}))
        yield ask(client, CHAT, chat("no", x_sim={"fault": "error_503"}))
        yield broken(client, chat("cut", max_tokens=50, x_sim={"fault": "cut_after:7"}))


async def broken(client, body):
    with contextlib.suppress(httpx.RemoteProtocolError):
        await leave(client, body, 1_000)
    return "cut"


async def send_all(own):
    limits = httpx.Limits(max_connections=100)
    headers = {"authorization": f"Bearer {ACME}"}
    async with httpx.AsyncClient(
        base_url=own.url, headers=headers, timeout=30, limits=limits
    ) as client:
        return Counter(await asyncio.gather(*mixed(client)))


def settled(own):
    """Wait for a comparison after everything has ended."""
    now_ms = time.time() * 1000

    def is_over():
        return all(each.at_ms > now_ms and not each.in_flight for each in findings(own))

    wait_for(is_over, what="a look after the last request")


async def test_every_token_is_explained(own):
    """Choices, aborts and retries account for all that is not billed, on each engine."""
    outcomes = await send_all(own)
    assert sum(outcomes.values()) == 100
    assert outcomes[200] == 60
    assert outcomes[503] == 10
    await asyncio.sleep(1.2)  # until the last one has ended for sure
    await asyncio.to_thread(settled, own)
    document = reconcile(own)
    assert document["ok"], document
    counted = own.engine_tokens()
    causes = Counter()
    for endpoint in document["endpoints"]:
        engine = counted[endpoint["endpoint"]]
        assert endpoint["prompt"]["engine"] == engine.prompt
        assert endpoint["completion"]["engine"] == engine.generation
        for split in (endpoint["prompt"], endpoint["completion"]):
            explained = sum(split[name] for name in ("choices", "aborts", "retries"))
            assert split["engine"] == split["ledger"] + explained
        causes.update(endpoint["unattributed"])
    rows = own.rows("operation not in ('models') and endpoint is not null")
    choices = sum(
        (row["n"] - 1) * row["prompt_tokens"] for row in rows if row["n"] and not row["cut"]
    )
    assert causes["choices"] == choices > 0
    assert causes["aborts"] > 0
    assert causes["retries"] > 0
    assert 'headgate_unattributed_tokens{cause="unknown"' in own.metrics()


def value(own, name, endpoint, **labels):
    labels = dict(sorted({"endpoint": endpoint, **labels}.items()))
    wanted = ",".join(f'{key}="{text}"' for key, text in labels.items())
    for line in own.metrics().splitlines():
        if line.startswith(f"headgate_{name}{{{wanted}}}"):
            return float(line.split()[-1])
    return None


def test_a_row_that_was_changed_is_told_of_within_a_minute(own, hook):
    with own.http() as client:
        answer = client.post(CHAT, json=chat(max_tokens=4))
    row = own.row(answer.headers["x-request-id"])
    endpoint = row["endpoint"]
    settled(own)
    begun = time.monotonic()
    with contextlib.closing(sqlite3.connect(own.state / "ledger.sqlite", timeout=30)) as ledger:
        ledger.execute("drop trigger entry_is_final")
        ledger.execute(
            "update entry set prompt_tokens = prompt_tokens + 100000 where settle_key = ?",
            (row["settle_key"],),
        )
        ledger.commit()
    drift = wait_for(lambda: value(own, "ledger_drift_tokens", endpoint, kind="prompt"))
    assert 90_000 < drift <= 100_000  # less what aborted answers before it left unbilled
    (told,) = wait_for(lambda: hook.got, what="the webhook")
    assert f"more than {endpoint} has counted" in told["text"]
    assert time.monotonic() - begun < 60
    assert "verysecret" not in (own.state / "log" / "settle.log").read_text()
    assert "verysecret" not in (own.state / "log" / "up.log").read_text()


def test_whoever_uses_an_engine_past_the_gateway_is_told_of(tmp_path, hook):
    """Of a gateway without a past: aborted answers could explain tokens that nobody is billed for."""
    with looking(tmp_path, hook) as fresh:
        use_past(fresh, hook)


def use_past(own, hook):
    endpoint = own.engines()[0]
    known = len(hook.got)
    ask = {"model": "demo", "prompt": "x", "max_tokens": 100_000, "ignore_eos": True,
           "x_sim": {"itl_ms": 0}}  # fmt: skip
    used = httpx.post(f"http://{endpoint}/v1/completions", json=ask, timeout=30).json()["usage"]
    assert used["completion_tokens"] == 100_000

    def is_told():  # a look at the engine may have come while it was still at it
        return (value(own, "unattributed_tokens", endpoint, cause="unknown") or 0) > 50_000

    wait_for(is_told, what="the metric")

    def is_heard():
        told = [each["text"] for each in hook.got[known:]]
        return any(endpoint in text and "that nobody is billed for" in text for text in told)

    wait_for(is_heard, what="the webhook")
