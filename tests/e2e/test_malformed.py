"""Bad input through real Envoy: the right status, the API's own error shape, the field's name, at once."""

import contextlib
import json
import socket
import time

import pytest

from tests.e2e.conftest import ACME, wait_for

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
COUNT = "/v1/messages/count_tokens"
OK = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
OK_TEXT = {"model": "demo", "prompt": "hi", "max_tokens": 1}
OK_RESPONSE = {"model": "demo", "input": "hi", "max_output_tokens": 1}
LONGEST_S = 2.0
GUARD_S = 25


def chat(**changed):
    return {**OK, **changed}


def without(name):
    return {key: value for key, value in OK.items() if key != name}


def message(**members):
    return {**OK, "messages": [{"role": "user", "content": "hi", **members}]}


def part(**members):
    return message(content=[members])


def response(**changed):
    return {**OK_RESPONSE, **changed}


def item(**members):
    return response(input=[members])


def block(**members):
    return message(content=[{**members}])


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
    (EMBED, {"model": "gpt-5", "input": "hi"}, 404, "model"),
    (CHAT, chat(max_tokens=2**40), 400, "max_tokens"),
    (CHAT, chat(tools=[{"type": "function"}]), 400, "tools[0].function"),
    (CHAT, part(type="text"), 400, "messages[0].content[0].text"),
    (CHAT, part(type="image_url"), 400, "messages[0].content[0].image_url"),
    (CHAT, part(type="image_url", image_url={}), 400, "messages[0].content[0].image_url.url"),
    (CHAT, part(type="image_url", image_url={"url": "file:///etc/passwd"}), 400,
     "messages[0].content[0].image_url.url"),
    (CHAT, part(type="video_url", video_url={"url": "ftp://h/v"}), 400,
     "messages[0].content[0].video_url.url"),
    (CHAT, part(type="input_audio", input_audio={"data": ""}), 400,
     "messages[0].content[0].input_audio.format"),
    # ---- Responses
    (RESPONSES, b"", 400, None),
    (RESPONSES, b"{", 400, None),
    (RESPONSES, b"[]", 400, None),
    (RESPONSES, b"[" * 100_000, 400, None),
    (RESPONSES, b'{"model": "demo", "input": "\xff"}', 400, None),
    (RESPONSES, {}, 400, "model"),
    (RESPONSES, {"input": "hi"}, 400, "model"),
    (RESPONSES, {"model": "demo"}, 400, "input"),
    (RESPONSES, response(model="gpt-5"), 404, "model"),
    (RESPONSES, response(input=7), 400, "input"),
    (RESPONSES, response(input=[]), 400, "input"),
    (RESPONSES, response(input=["hi"]), 400, "input[0]"),
    (RESPONSES, item(role="user"), 400, "input[0].content"),
    (RESPONSES, item(content="hi"), 400, "input[0].role"),
    (RESPONSES, item(role="god", content="hi"), 400, "input[0].role"),
    (RESPONSES, item(role="user", content=7), 400, "input[0].content"),
    (RESPONSES, item(role="user", content=[{}]), 400, "input[0].content[0].type"),
    (RESPONSES, item(role="user", content=[{"type": "input_text"}]), 400,
     "input[0].content[0].text"),
    (RESPONSES, item(role="user", content=[{"type": "input_image", "image_url": "file:///x"}]),
     400, "input[0].content[0].image_url"),
    (RESPONSES, item(type="function_call", name="f", arguments="{}"), 400, "input[0].call_id"),
    (RESPONSES, item(type="function_call", call_id="c", name="f", arguments={}), 400,
     "input[0].arguments"),
    (RESPONSES, item(type="function_call_output", call_id="c"), 400, "input[0].output"),
    (RESPONSES, response(max_output_tokens=0), 400, "max_output_tokens"),
    (RESPONSES, response(max_output_tokens="9"), 400, "max_output_tokens"),
    (RESPONSES, response(instructions=["x"]), 400, "instructions"),
    (RESPONSES, response(metadata={"a": 1}), 400, "metadata[...]"),
    (RESPONSES, response(stream="yes"), 400, "stream"),
    (RESPONSES, response(background=True), 400, "background"),
    (RESPONSES, response(previous_response_id="resp_1"), 400, "previous_response_id"),
    (RESPONSES, response(conversation="conv_1"), 400, "conversation"),
    (RESPONSES, response(tools=[{"type": "function"}]), 400, "tools[0].name"),
    (RESPONSES, response(tools=[{"name": "f"}]), 400, "tools[0].type"),
    (RESPONSES, response(temperature=-1), 400, "temperature"),
    (RESPONSES, response(top_p=2), 400, "top_p"),
    (RESPONSES, response(truncation="maybe"), 400, "truncation"),
    (RESPONSES, response(text="json"), 400, "text"),
    # ---- Messages
    (MESSAGES, b"", 400, None),
    (MESSAGES, b"not json", 400, None),
    (MESSAGES, b"null", 400, None),
    (MESSAGES, b"[" * 100_000, 400, None),
    (MESSAGES, b'{"model": "demo", "max_tokens": NaN}', 400, None),
    (MESSAGES, {}, 400, "model"),
    (MESSAGES, without("model"), 400, "model"),
    (MESSAGES, without("messages"), 400, "messages"),
    (MESSAGES, without("max_tokens"), 400, "max_tokens"),
    (MESSAGES, chat(model="claude-5"), 404, None),
    (MESSAGES, chat(model=""), 400, "model"),
    (MESSAGES, chat(max_tokens=0), 400, "max_tokens"),
    (MESSAGES, chat(max_tokens="9"), 400, "max_tokens"),
    (MESSAGES, chat(max_tokens=10**30), 400, "max_tokens"),
    (MESSAGES, chat(messages=[]), 400, "messages"),
    (MESSAGES, chat(messages="hi"), 400, "messages"),
    (MESSAGES, message(role="tool"), 400, "messages[0].role"),
    (MESSAGES, message(content=None), 400, "messages[0].content"),
    (MESSAGES, message(content=7), 400, "messages[0].content"),
    (MESSAGES, block(), 400, "messages[0].content[0].type"),
    (MESSAGES, block(type="text"), 400, "messages[0].content[0].text"),
    (MESSAGES, block(type="image"), 400, "messages[0].content[0].source"),
    (MESSAGES, block(type="image", source={"type": "base64"}), 400,
     "messages[0].content[0].source.media_type"),
    (MESSAGES, block(type="image", source={"type": "url", "url": "file:///x"}), 400,
     "messages[0].content[0].source.url"),
    (MESSAGES, block(type="tool_use", id="t", name="f"), 400, "messages[0].content[0].input"),
    (MESSAGES, block(type="tool_result"), 400, "messages[0].content[0].tool_use_id"),
    (MESSAGES, block(type="tool_result", tool_use_id="t", content=[{"type": "text"}]), 400,
     "messages[0].content[0].content[0].text"),
    (MESSAGES, chat(system=7), 400, "system"),
    (MESSAGES, chat(system=[{"type": "text"}]), 400, "system[0].text"),
    (MESSAGES, chat(stop_sequences="x"), 400, "stop_sequences"),
    (MESSAGES, chat(stream="yes"), 400, "stream"),
    (MESSAGES, chat(temperature="hot"), 400, "temperature"),
    (MESSAGES, chat(top_p=0), 400, "top_p"),
    (MESSAGES, chat(top_k=1.5), 400, "top_k"),
    (MESSAGES, chat(tools=[{"name": "f"}]), 400, "tools[0].input_schema"),
    (MESSAGES, chat(tools=[{"input_schema": {}}]), 400, "tools[0].name"),
    (MESSAGES, chat(tool_choice="auto"), 400, "tool_choice"),
    (MESSAGES, chat(tool_choice={"type": "tool"}), 400, "tool_choice.name"),
    (MESSAGES, chat(thinking={"type": "enabled"}), 400, "thinking.budget_tokens"),
    (COUNT, b"{", 400, None),
    (COUNT, {"model": "demo"}, 400, "messages"),
    (COUNT, {**without("max_tokens"), "messages": [{}]}, 400, "messages[0].role"),
    (COUNT, {**without("max_tokens"), "model": "claude-5"}, 404, None),
]  # fmt: skip


ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 405: "invalid_request_error", 413: "request_too_large",
    415: "invalid_request_error",
}  # fmt: skip


def timely(ask):
    """Ask until the answer takes no longer than it ever may: a machine that stands still may make one or two late, and
    what hangs is late each time."""
    for _ in range(3):
        begun = time.monotonic()
        answer = ask()
        if time.monotonic() - begun < LONGEST_S:
            return answer
    raise AssertionError(f"three times in a row it took longer than {LONGEST_S} s")


def check(answer, status, param):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    error = document["error"]
    if answer.request.url.path.startswith(MESSAGES):
        assert set(document) == {"type", "error", "request_id"}
        assert document["type"] == "error"
        assert document["request_id"] == answer.headers["x-request-id"]
        assert set(error) == {"type", "message"}
        assert error["type"] == ANTHROPIC_TYPES[status]
        assert error["message"].startswith("The " if param is None else f"'{param}'"), error
        return
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param, error
    assert error["message"]
    assert error["type"]
    assert error["code"]


@pytest.mark.parametrize(("path", "body", "status", "param"), BODIES)
def test_body(gateway, path, body, status, param):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with gateway.http() as http:
        typed = {"content-type": "application/json"}
        answer = timely(lambda: http.post(path, content=raw, headers=typed))
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
    ("GET", RESPONSES, {}, 405, None),
    ("GET", "/v1/responses/resp_1", {}, 404, None),
    ("POST", "/v1/responses/resp_1/cancel", {}, 404, None),
    ("POST", RESPONSES, {"authorization": "Bearer x"}, 401, None),
    ("POST", RESPONSES, {"content-encoding": "gzip"}, 415, "content-encoding"),
]
HEADS_OF_MESSAGES = [
    ("GET", MESSAGES, {}, 405, "/v1/messages takes POST"),
    ("POST", "/v1/messages/", {}, 404, "Unknown request URL"),
    ("POST", "/v1/messages/batches", {}, 404, "Unknown request URL"),
    ("POST", MESSAGES, {"authorization": ""}, 401, "No API key"),
    ("POST", MESSAGES, {"authorization": "Bearer x"}, 401, "This API key"),
    ("POST", MESSAGES, {"content-type": "text/plain"}, 415, "Content-Type"),
    ("POST", COUNT, {"content-encoding": "gzip"}, 415, "Content-Encoding"),
    ("POST", MESSAGES, {"x-tenant-id": "globex"}, 403, "This key"),
]


@pytest.mark.parametrize(("method", "path", "headers", "status", "said"), HEADS_OF_MESSAGES)
def test_head_of_a_message(gateway, method, path, headers, status, said):
    with gateway.http() as http:
        content = json.dumps(OK).encode() if method == "POST" else b""
        typed = {"content-type": "application/json", **headers} if content else headers
        answer = timely(lambda: http.request(method, path, content=content, headers=typed))
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert (document["type"], document["error"]["type"]) == ("error", ANTHROPIC_TYPES[status])
    assert document["error"]["message"].startswith(said)


@pytest.mark.parametrize(("method", "path", "headers", "status", "param"), HEADS)
def test_head(gateway, method, path, headers, status, param):
    with gateway.http() as http:
        encoded = {name: value.encode("latin-1") for name, value in headers.items()}
        content = json.dumps(OK).encode() if method in ("POST", "PUT") else b""
        typed = {"content-type": b"application/json", **encoded} if content else encoded
        answer = timely(lambda: http.request(method, path, content=content, headers=typed))
    check(answer, status, param)


def exchange(gateway, *pieces):
    """Send raw bytes; return all that comes back, until it is one answer or the server closes."""
    received = b""
    with socket.create_connection(("127.0.0.1", gateway.port), GUARD_S) as connection:
        # A body that is too large by its own word is refused before it has been sent.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
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
    return received


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
    (
        POST.replace(b"/v1/chat/completions", b"/v1/messages")
        + b"Content-Length: 17825792\r\n\r\n"
        + b" " * 17_825_792,
        413,
    ),
]


@pytest.mark.parametrize(("request_bytes", "status"), RAW, ids=range(len(RAW)))
def test_raw(gateway, request_bytes, status):
    try:
        answer = timely(lambda: exchange(gateway, request_bytes))
    except (BrokenPipeError, ConnectionResetError):
        pytest.fail("the connection was cut before an answer could be read")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert json.loads(body)["error"]["message"]


def test_a_body_cut_short_is_settled_and_harms_nobody(gateway):
    before = judged(gateway)
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(POST + b"X-Request-Id: cut-1\r\nContent-Length: 100\r\n\r\n{")
        wait_for(lambda: judged(gateway) > before, what="the head to be judged")
    row = gateway.row("cut-1")
    assert (row["status"], row["tenant"]) == (0, "acme")
    assert row["endpoint"] is None


def judged(gateway):
    """How often a worker has said what it thinks of a head or a body."""
    return gateway.envoy_count("http.clients.ext_proc.stream_msgs_received")
