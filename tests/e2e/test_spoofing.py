"""Headers that decide about routing or identity mean nothing when a client sends them.

What proves it is what an engine is sent, and which engine.
"""

import json

import pytest

from tests.e2e.conftest import running
from tests.e2e.recording import recording

ASK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
CHAT = "/v1/chat/completions"
FORGED = {
    "x-headgate-pool": "elsewhere",
    "x-headgate-model": "other",
    "x-headgate-track": "canary",
    "x-headgate-anything": "forged",
    "X-Headgate-Pool": "elsewhere",
    "x-gateway-destination-endpoint": "127.0.0.1:1",
    "x-gateway-destination-endpoint-subset": "127.0.0.1:1",
    "x-gateway-destination-endpoint-served": "127.0.0.1:1",
    "x-prefiller-host-port": "127.0.0.1:1",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-max-retries": "0",
    "x-envoy-retry-on": "5xx",
    "x-envoy-original-path": "/admin",
    "x-envoy-decorator-operation": "forged",
    "x-envoy-expected-rq-timeout-ms": "1",
    "accept-encoding": "gzip",
}
OURS = {
    "x-headgate-model": "demo",
    "x-headgate-track": "stable",
}


@pytest.fixture(scope="module")
def seen_by(tmp_path_factory):
    """A gateway before one engine that keeps what it is sent."""
    state = tmp_path_factory.mktemp("spoof") / "s"
    with recording() as engine, running(state, "--engine", engine.url, "--workers", "1") as own:
        yield own, engine


def ask(seen_by, headers):
    own, engine = seen_by
    engine.seen.clear()
    with own.http() as http:
        answer = http.post(CHAT, json=ASK, headers=[*http.headers.items(), *headers])
    assert answer.status_code == 200, answer.text
    ((received, body),) = engine.seen
    return answer, received, body


@pytest.mark.parametrize(("name", "value"), FORGED.items())
def test_forged(seen_by, name, value):
    answer, received, _ = ask(seen_by, [(name, value)])
    got = [v for k, v in received if k == name.lower()]
    if name.lower() == "x-gateway-destination-endpoint":
        assert got == [f"127.0.0.1:{seen_by[1].server_port}"]
    else:
        assert got == [OURS[name.lower()]] if name.lower() in OURS else got == []
    row = seen_by[0].row(answer.headers["x-request-id"])
    assert (row["tenant"], row["model"], row["pool"]) == ("acme", "demo", "local")


def test_twice_and_with_underscores(seen_by):
    forged = [("x-headgate-pool", "a"), ("x-headgate-pool", "b"), ("x_headgate_pool", "c")]
    _, received, _ = ask(seen_by, forged)
    assert not [name for name, _ in received if name.replace("_", "-") == "x-headgate-pool"]


def test_the_engine_never_sees_the_key(seen_by):
    answer, received, body = ask(seen_by, [("cookie", "session=1"), ("api-key", "x")])
    names = {name for name, _ in received}
    assert not names & {"authorization", "x-api-key", "api-key", "cookie", "accept-encoding"}
    assert "traceparent" in names
    sent = json.loads(body)
    assert sent.pop("cache_salt"), "ours: no tenant is to time another's cache"
    assert sent == ASK
    row = seen_by[0].row(answer.headers["x-request-id"])
    assert (row["prompt_tokens"], row["completion_tokens"]) == (3, 4)
    assert row["trace_id"] == dict(received)["traceparent"].split("-")[1]
