"""What clients are told of personal data, and what never gets past: through real Envoy."""

import contextlib
import http.server
import json
import os
import threading
from itertools import pairwise

import pytest

from tests.e2e.conftest import GLOBEX
from tests.e2e.echoing import echoing
from tests.e2e.limits import CHAT, limited
from tests.e2e.planted import API_KEY, KNOWN, MAIL, NAME, PHONES
from tests.http_server import Server

PII = {
    "key": {"env": "PII_KEY"},
    "rules": [{"tenants": ["acme"], "types": {"all": "mask", "api_key": "deny", "iban": "tag"}}],
}


class Detector(http.server.BaseHTTPRequestHandler):
    """Knows one name."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        texts = json.loads(self.rfile.read(int(self.headers["content-length"])))["texts"]
        found = [
            [{"type": "person", "start": at, "end": at + len(NAME)}]
            if (at := t.find(NAME)) >= 0
            else []
            for t in texts
        ]
        body = json.dumps({"findings": found}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def detecting():
    server = Server(("127.0.0.1", 0), Detector)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/find"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with (
        echoing() as engine,
        detecting() as url,
        limited(
            tmp_path_factory.mktemp("masking"),
            flags=("--engine", engine.url, "--workers", "2"),
            env={**os.environ, "PII_KEY": "0123456789abcdef0123456789"},
            pii={**PII, "detector": {"url": url, "timeout_ms": 4000}},
        ) as gateway,
    ):
        yield gateway, engine


def ask(gateway, path=CHAT, **members):
    body = {"model": "demo", **members}
    with gateway.http() as http:
        return http.post(path, json=body)


def say(*texts):
    return [{"role": "user", "content": text} for text in texts]


def test_the_client_is_told_how_much_was_masked(both):
    answer = ask(both[0], messages=say(f"{MAIL} and {KNOWN['iban']}"))
    assert answer.headers["x-headgate-pii"] == "masked=1; tagged=1"
    assert MAIL in answer.text
    assert MAIL not in both[1].seen[-1]
    assert "x-headgate-pii" not in ask(both[0], messages=say("hello")).headers


def test_names_are_found_by_whoever_can(both):
    answer = ask(both[0], messages=say(f"这是{NAME}吗"))
    assert NAME in answer.text
    assert NAME not in both[1].seen[-1]
    assert "<PERSON_" in both[1].seen[-1]


def test_a_refusal_names_the_place_and_never_the_value(both):
    before = len(both[1].seen)
    answer = ask(both[0], messages=say("hi", f"use {API_KEY}"))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "personal_data")
    assert error["param"] == "messages[1].content"
    assert "api_key" in error["message"]
    assert API_KEY not in answer.text
    assert len(both[1].seen) == before


def test_token_ids_cannot_slip_past(both):
    answer = ask(both[0], "/v1/completions", prompt=[1, 2, 3])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "prompt")


def test_a_tenant_without_a_rule_is_left_alone(both):
    with both[0].http(GLOBEX) as http:
        answer = http.post(CHAT, json={"model": "demo", "messages": say(KNOWN["mail"])})
    assert answer.status_code == 200
    assert KNOWN["mail"] in both[1].seen[-1]
    assert "x-headgate-pii" not in answer.headers


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_to_be_read_and_cannot_be_does_not_pass(both, stream):
    gateway, engine = both
    engine.packs = True
    try:
        answer = ask(gateway, messages=say(f"write to {MAIL}"), stream=stream)
        unread = ask(gateway, messages=say("hello"), stream=stream)
    finally:
        engine.packs = False
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_unavailable"
    assert "content-encoding" not in answer.headers
    assert unread.status_code == 200
    assert "hel" in unread.text
    assert ask(gateway, messages=say(f"write to {MAIL}")).status_code == 200


def test_a_conversation_begins_alike_at_every_worker(both):
    both[1].seen.clear()
    turns = []
    for number, phone in enumerate(PHONES):
        turns.append(f"turn {number}: write to {MAIL} or {phone}")
        assert ask(both[0], messages=say(*turns)).status_code == 200
    sent = [json.loads(body)["messages"] for body in both[1].seen]
    assert all(later[: len(sooner)] == sooner for sooner, later in pairwise(sent))


def test_nothing_that_the_gateway_writes_has_a_value(both):
    gateway = both[0]
    for text in (f"{MAIL} {API_KEY}", MAIL):
        answer = ask(gateway, messages=say(text))
        assert gateway.row(answer.headers["x-request-id"])["tenant"] == "acme"
    looked = 0
    for path in gateway.state.rglob("*"):
        if path.is_file() and (written := read(path)) is not None:
            looked += 1
            assert MAIL.encode() not in written, path
            assert API_KEY.encode() not in written, path
            # The tenant without a rule has sent its mail address, and only to the engine.
            assert KNOWN["mail"].encode() not in written, path
    assert looked > 10


def read(path):
    """What stands there; None for a file that has been renamed or is gone: the gateway goes on."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None
