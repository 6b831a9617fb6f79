"""Bad input through real Envoy: the right status, OpenAI's error shape, the field's name, at once."""

import json
import socket
import time

import pytest

from tests.e2e.conftest import ACME

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
OK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
OK_TEXT = {"model": "demo", "prompt": "hi", "max_tokens": 1}
LONGEST_S = 2.0


def chat(**changed):
    return {**OK, **changed}


def without(name):
    return {key: value for key, value in OK.items() if key != name}


def message(**members):
    return {**OK, "messages": [{"role": "user", "content": "hi", **members}]}


# path, body (JSON value, or bytes as they are), status, param
BODIES = [
    (CHAT, b"", 400, None),
    (CHAT, b"{", 400, None),
    (CHAT, b"not json", 400, None),
    (CHAT, b"[]", 400, None),
    (CHAT, b"null", 400, None),
    (CHAT, b'"text"', 400, None),
    (CHAT, b'{"model": "demo", "messages": [{"role": "user", "content": "\xff\xfe"}]}', 400, None),
    (CHAT, b'{"model": "demo", "messages": [{"role": "user", "content": "\\ud800"}]}', 400, None),
    (CHAT, b'{"model": "demo", "temperature": NaN}', 400, None),
    (CHAT, b'{"model": "demo", "temperature": 1e999}', 400, None),
    (CHAT, b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, None),
    (CHAT, b"[" * 100_000, 400, None),
    (CHAT, b'{"model": "demo",}', 400, None),
    (CHAT, b'\xef\xbb\xbf{"model": "demo"}', 400, None),
    (CHAT, json.dumps(OK).encode("utf-16"), 400, None),
    (CHAT, json.dumps(OK).encode() + b"{}", 400, None),
    (CHAT, {}, 400, "model"),
    (CHAT, without("model"), 400, "model"),
    (CHAT, without("messages"), 400, "messages"),
    (CHAT, chat(model=""), 400, "model"),
    (CHAT, chat(model=7), 400, "model"),
    (CHAT, chat(model=None), 400, "model"),
    (CHAT, chat(model="x" * 300), 400, "model"),
    (CHAT, chat(model="gpt-5"), 404, "model"),
    (CHAT, chat(model="demo\u0000"), 404, "model"),
    (CHAT, chat(messages=[]), 400, "messages"),
    (CHAT, chat(messages="hi"), 400, "messages"),
    (CHAT, chat(messages=["hi"]), 400, "messages[0]"),
    (CHAT, chat(messages=[{}]), 400, "messages[0].role"),
    (CHAT, message(role="god"), 400, "messages[0].role"),
    (CHAT, message(content=7), 400, "messages[0].content"),
    (CHAT, message(content=[{"text": "hi"}]), 400, "messages[0].content[0].type"),
    (CHAT, message(content=[7]), 400, "messages[0].content[0]"),
    (CHAT, message(tool_calls=[{}]), 400, "messages[0].tool_calls[0].function"),
    (CHAT, chat(max_tokens=0), 400, "max_tokens"),
    (CHAT, chat(max_tokens=-5), 400, "max_tokens"),
    (CHAT, chat(max_tokens=1.5), 400, "max_tokens"),
    (CHAT, chat(max_tokens="10"), 400, "max_tokens"),
    (CHAT, chat(max_tokens=True), 400, "max_tokens"),
    (CHAT, chat(max_completion_tokens=0), 400, "max_completion_tokens"),
    (CHAT, chat(n=0), 400, "n"),
    (CHAT, chat(n=10**30), 400, "n"),
    (CHAT, chat(stream="yes"), 400, "stream"),
    (CHAT, chat(stream=1), 400, "stream"),
    (CHAT, chat(stream_options={"include_usage": True}), 400, "stream_options"),
    (CHAT, chat(stream=True, stream_options=[]), 400, "stream_options"),
    (CHAT, chat(stream=True, stream_options={"include_usage": "y"}), 400,
     "stream_options.include_usage"),
    (CHAT, chat(temperature=-1), 400, "temperature"),
    (CHAT, chat(temperature="hot"), 400, "temperature"),
    (CHAT, chat(top_p=2), 400, "top_p"),
    (CHAT, chat(frequency_penalty=9), 400, "frequency_penalty"),
    (CHAT, chat(stop=7), 400, "stop"),
    (CHAT, chat(tools="all"), 400, "tools"),
    (CHAT, chat(tools=[{"type": "function", "function": {}}]), 400, "tools[0].function.name"),
    (CHAT, chat(logit_bias={"5": "x"}), 400, "logit_bias[...]"),
    (TEXT, {"model": "demo"}, 400, "prompt"),
    (TEXT, {**OK_TEXT, "prompt": {"a": 1}}, 400, "prompt"),
    (TEXT, {**OK_TEXT, "prompt": [None]}, 400, "prompt[0]"),
    (TEXT, {**OK_TEXT, "logprobs": True}, 400, "logprobs"),
    (EMBED, {"model": "demo"}, 400, "input"),
    (EMBED, {"model": "demo", "input": 7}, 400, "input"),
    (EMBED, {"model": "demo", "input": "hi", "encoding_format": "xml"}, 400, "encoding_format"),
    (EMBED, {"model": "demo", "input": "hi", "dimensions": 0}, 400, "dimensions"),
]  # fmt: skip


def check(answer, status, param):
    assert answer.elapsed.total_seconds() < LONGEST_S
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param, error
    assert error["message"]
    assert error["type"]
    assert error["code"]


@pytest.mark.parametrize(("path", "body", "status", "param"), BODIES)
def test_body(gateway, path, body, status, param):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with gateway.http() as http:
        answer = http.post(path, content=raw, headers={"content-type": "application/json"})
    check(answer, status, param)
    assert gateway.row(answer.headers["x-request-id"])["status"] == status


# method, path, headers, status, param
HEADS = [
    ("POST", CHAT, {"authorization": ""}, 401, None),
    ("POST", CHAT, {"authorization": "Bearer"}, 401, None),
    ("POST", CHAT, {"authorization": f"Basic {ACME}"}, 401, None),
    ("POST", CHAT, {"authorization": ACME}, 401, None),
    ("POST", CHAT, {"authorization": f"Bearer {ACME}x"}, 401, None),
    ("POST", CHAT, {"authorization": f"Bearer {ACME}, Bearer {ACME}"}, 401, None),
    ("POST", CHAT, {"authorization": "Bearer " + "k" * 20_000}, 401, None),
    ("POST", CHAT, {"authorization": "Bearer \xff\xfe"}, 401, None),
    ("POST", CHAT, {"x-tenant-id": "globex"}, 403, "x-tenant-id"),
    ("POST", CHAT, {"x-project-id": "search"}, 403, "x-project-id"),
    ("POST", CHAT, {"content-type": "text/plain"}, 415, "content-type"),
    ("POST", CHAT, {"content-type": "multipart/form-data"}, 415, "content-type"),
    ("POST", CHAT, {"content-encoding": "gzip"}, 415, "content-encoding"),
    ("GET", CHAT, {}, 405, None),
    ("PUT", CHAT, {}, 405, None),
    ("DELETE", "/v1/models", {}, 405, None),
    ("GET", "/v1", {}, 404, None),
    ("GET", "/v1/", {}, 404, None),
    ("POST", "/v1/chat/completions/", {}, 404, None),
    ("POST", "/v1/Chat/Completions", {}, 404, None),
    ("POST", "/v1/audio/speech", {}, 404, None),
    ("GET", "/v1/models/none", {}, 404, "model"),
    ("GET", "/metrics", {}, 404, None),
    ("GET", "/", {}, 404, None),
    ("POST", "/v1/chat/completions?model=x", {"content-type": "text/plain"}, 415, "content-type"),
]


@pytest.mark.parametrize(("method", "path", "headers", "status", "param"), HEADS)
def test_head(gateway, method, path, headers, status, param):
    with gateway.http() as http:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        content = json.dumps(OK).encode() if method in ("POST", "PUT") else b""
        typed = {"content-type": b"application/json", **encoded} if content else encoded
        answer = http.request(method, path, content=content, headers=typed)
    check(answer, status, param)


def exchange(gateway, *pieces):
    """Send raw bytes; return all that comes back until the server closes or two seconds pass."""
    begun, received = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", gateway.port), LONGEST_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
        try:
            while data := connection.recv(65536):
                received += data
                head, _, rest = received.partition(b"\r\n\r\n")
                if rest and len(rest) >= length(head):
                    break
        except TimeoutError:
            pass
    return received, time.monotonic() - begun


def length(head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 1 << 30


AUTH = f"Authorization: Bearer {ACME}\r\nContent-Type: application/json\r\n".encode()
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n" + AUTH
RAW = [
    (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n\r\n", 426),
    (b"POST /v1/chat/completions HTTP/1.1\r\n" + AUTH + b"Content-Length: 2\r\n\r\n{}", 400),
    (POST + b"Content-Length: -1\r\n\r\n", 400),
    (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Transfer-Encoding: chunked\r\n\r\nXYZ\r\n", 400),
    (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    (POST + b"Bad Header: x\r\n\r\n", 400),
    (POST + b"X-Big: " + b"x" * 200_000 + b"\r\n\r\n", 431),
    (POST + b"Content-Length: 17825792\r\n\r\n" + b" " * 17_825_792, 413),
]


@pytest.mark.parametrize(("request_bytes", "status"), RAW, ids=range(len(RAW)))
def test_raw(gateway, request_bytes, status):
    try:
        answer, seconds = exchange(gateway, request_bytes)
    except (BrokenPipeError, ConnectionResetError):
        pytest.fail("the connection was cut before an answer could be read")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert seconds < LONGEST_S + 0.5
    assert json.loads(body)["error"]["message"]


def test_a_body_cut_short_is_settled_and_harms_nobody(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(POST + b"X-Request-Id: cut-1\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.2)
    row = gateway.row("cut-1")
    assert (row["status"], row["tenant"]) == (0, "acme")
    assert row["endpoint"] is None
