"""Headers that decide about routing or identity mean nothing when a client sends them."""

import http.server
import json
import threading

import pytest

from tests.e2e.conftest import running

ASK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
CHAT = "/v1/chat/completions"
FORGED = {
    "x-headgate-pool": "elsewhere",
    "x-headgate-model": "other",
    "x-headgate-track": "canary",
    "X-Headgate-Pool": "elsewhere",
    "x-gateway-destination-endpoint": "127.0.0.1:1",
    "x-gateway-destination-endpoint-subset": "127.0.0.1:1",
    "x-gateway-destination-endpoint-served": "127.0.0.1:1",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-max-retries": "0",
    "x-envoy-retry-on": "5xx",
    "x-envoy-original-path": "/admin",
    "x-envoy-decorator-operation": "x",
    "x-envoy-expected-rq-timeout-ms": "1",
    "accept-encoding": "gzip",
}


@pytest.mark.parametrize(("name", "value"), FORGED.items())
def test_forged(gateway, name, value):
    with gateway.http() as http:
        answer = http.post(CHAT, json=ASK, headers={name: value})
    assert answer.status_code == 200, answer.text
    assert "content-encoding" not in answer.headers
    row = gateway.row(answer.headers["x-request-id"])
    assert row["endpoint"] in gateway.engines()
    assert (row["tenant"], row["model"], row["pool"]) == ("acme", "demo", "local")


def test_twice_the_pool_header(gateway):
    forged = [("x-headgate-pool", "a"), ("x-headgate-pool", "b"), ("x_headgate_pool", "c")]
    with gateway.http() as http:
        answer = http.post(CHAT, json=ASK, headers=[*http.headers.items(), *forged])
    assert answer.status_code in (200, 400), answer.text  # Envoy may refuse the underscores


def test_the_engine_never_sees_the_key(gateway, tmp_path):
    """An engine in its own right, which keeps what it is sent."""
    seen = []

    class Engine(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, document):
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer({"data": [{"id": "demo"}]})

        def do_POST(self):
            seen.append(dict(self.headers.items()))
            self.rfile.read(int(self.headers["content-length"]))
            self.answer({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine) as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{engine.server_port}"
        with running(tmp_path / "s", "--engine", url, "--workers", "1") as own:
            with own.http() as client:
                answer = client.post(CHAT, json=ASK, headers={"x-request-id": "seen-1"})
            assert answer.status_code == 200, answer.text
            row = own.row("seen-1")
        engine.shutdown()
    (headers,) = seen
    names = {name.lower() for name in headers}
    assert "authorization" not in names
    assert "traceparent" in names
    assert "accept-encoding" not in names
    assert (row["prompt_tokens"], row["completion_tokens"]) == (3, 4)
