"""Personal data is sent in every way there is, and then looked for in everything that stays behind.

Two tenants, everything switched on. What is planted may be in answers, for whoever sent it; nowhere else: not
with the engine, not in the state directory, in Valkey, in metrics, and not in what any command says.
"""

import base64
import contextlib
import json
import os
import signal
import socket
from itertools import cycle, product
from typing import NamedTuple
from urllib.parse import quote

import httpx
import pytest
import redis
from typer.testing import CliRunner

from extproc.cli.commands import COMMANDS, build
from extproc.safety.injection.canary import CUT
from tests.e2e.conftest import ACME, GLOBEX, Gateway, events, wait_for
from tests.e2e.echoing import Echoing, echoing
from tests.e2e.hunting import Hunt, read_all, spoken
from tests.e2e.limits import CHAT, limited
from tests.e2e.planting import ALL, ASKS, PLANTED, SHORT, chat, find, wrong_requests
from tests.e2e.test_masking import detecting

pytestmark = pytest.mark.long

HOW = (signal.SIGKILL, signal.SIGABRT)
"""How the two workers end."""
SECRET = {"LEAKS_KEY": "0123456789abcdef0123456789"}
SECTIONS = {
    "outbound": {"rules": [{"types": ["bank_card", "email"], "action": "mask"}]},
    "firewall": [{"canary": {"key": {"env": "LEAKS_KEY"}}, "action": "tag"}],
    "moderation": {
        "rules": [
            {"name": "weapons", "where": "request", "words": ["pipe bomb"]},
            {"name": "lamps", "where": "answer", "words": ["lantern"]},
        ]
    },
    "cache": {"rules": [{"ttl": "10m", "max_temperature": 2}]},
    "audit": {"requests": {"tenants": ["acme", "globex"], "content": "masked"}},
    "guards": {"refusals": {"most": 10_000}, "long_prompts": {"tokens": 500_000}},
}
PII = {
    "key": {"env": "LEAKS_KEY"},
    "rules": [
        {"tenants": ["acme"], "types": {"all": "mask"}},
        {
            "tenants": ["globex"],
            "types": {"all": "redact", "api_key": "deny", "email": "hash", "phone": "mask"},
        },
    ],
    "patterns": [{"name": "employee", "expression": "EMP-[0-9]{6}"}],
    "dictionaries": [{"name": "project", "words": ["猎鹰九号"]}],
}
LIMITS = (
    {"name": "many", "tokens": 10**9, "every": "1h"},
    {
        "name": "few",
        "tokens": 300,
        "every": "1h",
        "keys": ["globex-1"],
        "operations": ["embeddings"],
    },
)


class Everything(NamedTuple):
    gateway: Gateway
    engine: Echoing
    detector: contextlib.ExitStack
    """Closed, it is down."""
    http: httpx.Client

    def post(self, path, body, key=ACME, **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(path, content=raw, headers={**named(key), **headers})


def named(key):
    return {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "x-headgate-explain": "true",
    }


@pytest.fixture(scope="module")
def all_on(tmp_path_factory):
    with (
        contextlib.ExitStack() as detector,
        echoing() as engine,
        limited(
            tmp_path_factory.mktemp("leaks"),
            *LIMITS,
            flags=("--engine", engine.url, "--workers", str(len(HOW))),
            env={**os.environ, **SECRET},
            pii={
                **PII,
                "detector": {"url": detector.enter_context(detecting()), "timeout_ms": 3000},
            },
            **SECTIONS,
        ) as gateway,
        httpx.Client(base_url=gateway.url, timeout=30) as http,
    ):
        yield Everything(gateway, engine, detector, http)
    left = Hunt({each.name: each.value for each in PLANTED})
    left.tree(gateway.state)  # what was written as it stopped, too
    left.check()


def ask_in_every_way(on):
    """Each value alone, and all of them at once, in each dialect, as JSON and as a stream, by both tenants."""
    ways = cycle(product(ASKS, (True, False, False, True, False)))
    for each, key in product(PLANTED, (ACME, GLOBEX)):
        ask, stream = next(ways)
        yield on.post(*ask(each.text, stream=stream), key).status_code
    for ask, stream in product(ASKS, (True, False)):
        for _ in range(2):  # the second answer is in the cache
            yield on.post(*ask(ALL, stream=stream)).status_code
        yield on.post(*ask(ALL, stream=stream), GLOBEX).status_code


def ask_wrongly(on):
    for key in (ACME, GLOBEX, f"sk-headgate-{PLANTED[-3].value}"):
        for path, body, headers in wrong_requests():
            with contextlib.suppress(httpx.TransportError):  # told so before all of it was sent
                yield on.post(path, body, key, **headers).status_code


def leave(on):
    """Before the answer has ended, and before the request has."""
    path, body = chat(ALL + " and bye", stream=True)
    with on.http.stream("POST", path, json=body, headers=named(ACME)) as answer:
        assert answer.status_code == 200
        next(answer.iter_raw())
    raw = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ACME}\r\ncontent-length: "
    with socket.create_connection(("127.0.0.1", on.gateway.port)) as line:
        line.sendall(f"{head}{len(raw) + 9}\r\n\r\n".encode() + raw)


def kill_workers(on):
    """While an answer is on its way, with all values in the workers' memory."""
    path, body = chat(ALL + " once more", stream=True)
    with (
        pytest.raises(httpx.TransportError),
        on.http.stream("POST", path, json=body, headers=named(ACME)) as answer,
    ):
        for number, _ in enumerate(answer.iter_raw()):
            if number == 1:
                for pid, how in zip(on.gateway.worker_pids(), HOW, strict=True):
                    os.kill(pid, how)
    wait_for(lambda: on.post(*chat("up?")).status_code == 200, what="the next worker")


def read_valkey(gateway):
    """All that is in it, whatever its type."""
    with redis.Redis(unix_socket_path=str(gateway.layout.counters_socket)) as valkey:
        found = read_all(valkey)
    assert found
    return spoken(found)


def headgate(gateway, *words):
    done = CliRunner().invoke(build(COMMANDS), [*words, "--state", str(gateway.state)], env=SECRET)
    assert done.exit_code == 0, done.output
    return done.output


def what_stays(gateway, engine):
    """Where it could be, and what is there."""
    for number, body in enumerate(engine.seen):
        yield f"engine request {number}", body
        yield f"engine request {number}, read", json.dumps(json.loads(body), ensure_ascii=False)
    for path in sorted(gateway.state.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # it is at work, and done with some of them
            if path.is_file():
                yield str(path.relative_to(gateway.state)), path.read_bytes()
    yield "what it said", (gateway.state.parent / "s.out").read_bytes()
    yield "metrics", gateway.metrics()
    yield "Valkey", read_valkey(gateway)
    by = "tenant,project,user,model,key_id,status,deny_reason"
    yield "usage", headgate(gateway, "usage", "--by", by, "--json")
    yield "audit search", headgate(gateway, "audit", "search", "--json", "--limit", "100000")
    policy = str(gateway.state.parent / "policy")
    everything = ("--ledger", "--cache", "--logs", "--without", "ip_address", "--policy", policy)
    yield "scan", headgate(gateway, "scan", *everything, "--json")
    yield "cache stats", headgate(gateway, "cache", "stats", "--json")
    for row in gateway.rows("status = 200 and tenant = 'acme' and pool = 'sim' limit 1"):
        yield "explain", headgate(gateway, "explain", row["request_id"])


@pytest.mark.parametrize(
    "written",
    [
        ALL,
        quote(ALL),
        json.dumps(ALL),
        *(base64.b64encode(b"-" * n + ALL.encode()) for n in range(3)),
    ],
    ids=["as it is", "in a URL", "in JSON", "in base64", "one later", "two later"],
)
def test_whatever_is_there_is_found(written):
    raw = written if isinstance(written, bytes) else written.encode()
    assert find(raw).keys() == {each.name for each in PLANTED}


@pytest.mark.parametrize("stream", [True, False])
def test_a_system_prompt_that_is_told_is_withheld_and_masked_values_come_back(all_on, stream):
    path, body = chat(f"write to {SHORT[0]}", stream=stream)
    headers = {"cache-control": "no-store"}
    assert all_on.post(path, body, **headers).status_code == 200
    system, user = json.loads(all_on.engine.seen[-1])["messages"]
    all_on.engine.words = f"{user['content']} if {system['content']} and so on"
    try:
        answer = all_on.post(path, body, **headers)
    finally:
        all_on.engine.words = ""
    documents = events(answer.text) if stream else [answer.json()]
    told = (each["delta" if stream else "message"] for d in documents for each in d["choices"])
    said = "".join(each.get("content") or "" for each in told)
    assert said.startswith(f"write to {SHORT[0]} if ")
    assert said.endswith(CUT)
    assert system["content"].split()[-1] not in said


def test_nothing_that_was_planted_stays_behind(all_on):
    assert set(ask_in_every_way(all_on)) == {200, 400, 503}
    assert set(ask_wrongly(all_on)) >= {200, 400, 401, 403, 404, 413, 415}
    all_on.engine.pause_s = 0.02
    leave(all_on)
    kill_workers(all_on)
    all_on.engine.pause_s = 0.0
    all_on.detector.close()
    down = {all_on.post(*chat(f"{each.text} down")).status_code for each in PLANTED[::6]}
    assert down == {503}
    assert len(all_on.engine.seen) > len(PLANTED)
    stays = what_stays(all_on.gateway, all_on.engine)
    assert {where: hits for where, raw in stays if (hits := find(raw))} == {}
