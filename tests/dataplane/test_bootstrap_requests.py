"""What may come in, through real Envoy: malformed HTTP, limits, headers that only Headgate may set."""

import json
from urllib.parse import quote

import httpx
import pytest

from dataplane.gateway import MIB, Timeouts
from tests.dataplane.stack import order, run_stack

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

HEAD = f"Host: a\r\nx-test: {order()['x-test']}\r\n"
POST = f"POST / HTTP/1.1\r\n{HEAD}"
MANY = "".join(f"h{i}: x\r\n" for i in range(101))

REFUSED = [
    ("no HTTP at all", "GARBAGE\r\n\r\n", 400),
    ("a TLS handshake", "\x16\x03\x01\x02\r\n\r\n", 400),
    ("no version", "GET /\r\n\r\n", 426),
    ("HTTP/1.0", f"GET / HTTP/1.0\r\n{HEAD}\r\n", 426),
    ("HTTP/3.0", f"GET / HTTP/3.0\r\n{HEAD}\r\n", 426),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("a space in a header name", f"GET / HTTP/1.1\r\n{HEAD}a b: c\r\n\r\n", 400),
    ("a header without a colon", f"GET / HTTP/1.1\r\n{HEAD}abc\r\n\r\n", 400),
    ("an empty header name", f"GET / HTTP/1.1\r\n{HEAD}: c\r\n\r\n", 400),
    ("a NUL in a header", f"GET / HTTP/1.1\r\n{HEAD}a: b\x00c\r\n\r\n", 400),
    ("a method in lower case", f"get / HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("an unknown method", f"BREW / HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("OPTIONS *", f"OPTIONS * HTTP/1.1\r\n{HEAD}\r\n", 404),
    ("a space in the path", f"GET /a b HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("a path without a slash", f"GET x HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("a raw byte in the path", f"GET /\xe9 HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("a NUL in the path", f"GET /%00 HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("a fragment", f"GET /x#y HTTP/1.1\r\n{HEAD}\r\n", 400),
    ("two lengths", f"{POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}", 400),
    ("the same length twice", f"{POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}", 400),
    ("a negative length", f"{POST}Content-Length: -1\r\n\r\n", 400),
    ("a length that is no number", f"{POST}Content-Length: abc\r\n\r\n", 400),
    ("a length beyond 64 bits", f"{POST}Content-Length: {10**23}\r\n\r\n", 400),
    (
        "length and chunks",
        f"{POST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("an unknown transfer-encoding", f"{POST}Transfer-Encoding: gzip\r\n\r\n", 400),
    ("chunked twice", f"{POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    ("a chunk size that is none", f"{POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
    ("a chunk size beyond 64 bits", f"{POST}Transfer-Encoding: chunked\r\n\r\n{'f' * 17}\r\n", 400),
    (
        "a chunk without its end",
        f"{POST}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}xx0\r\n\r\n",
        400,
    ),
    (
        "an upgrade",
        f"GET / HTTP/1.1\r\n{HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        403,
    ),
    ("101 headers", f"GET / HTTP/1.1\r\n{HEAD}{MANY}\r\n", 431),
    ("62 kB in one header", f"GET / HTTP/1.1\r\n{HEAD}a: {'x' * 62_000}\r\n\r\n", 431),
    ("62 kB in the path", f"GET /{'x' * 62_000} HTTP/1.1\r\n{HEAD}\r\n", 431),
]


@pytest.mark.parametrize(
    ("request_text", "status"), [pytest.param(t, s, id=i) for i, t, s in REFUSED]
)
async def test_malformed_requests(stack, request_text, status):
    answer = await stack.raw(request_text.encode("latin-1"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/json" in head
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert error["code"]


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nHost: a\r\n", POST.encode() + b"Content-Length: 9\r\n\r\n{}"]
)
async def test_slow_requests_are_ended(data):
    async with run_stack(timeouts=Timeouts(request_headers_s=0.3, request_s=0.3)) as stack:
        answer = await stack.raw(data)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


@pytest.mark.parametrize("is_http2", [False, True])
async def test_a_body_of_16_mib_passes_and_a_byte_more_does_not(stack, is_http2):
    async with httpx.AsyncClient(
        base_url=stack.envoy.url, http1=not is_http2, http2=is_http2
    ) as client:
        passed = await client.post("/x", headers=order(), content=b"x" * 16 * MIB)
        refused = await client.post("/x", headers=order(), content=b"x" * (16 * MIB + 1))
    assert passed.json()["bytes"] == 16 * MIB
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "request_too_large"
    assert "16 MiB" in refused.json()["error"]["message"]


SPOOFS = [
    "x-headgate-pool",
    "x-headgate-model",
    "x-headgate-anything",
    "X-Headgate-Tenant",
    "x-gateway-destination-endpoint",
    "x-gateway-destination-endpoint-subset",
    "x-envoy-max-retries",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-retry-on",
    "x-envoy-original-path",
    "accept-encoding",
    "x_headgate_pool",
]


@pytest.mark.parametrize("name", SPOOFS)
async def test_headers_that_only_headgate_may_set(stack, name):
    answer = await stack.post({name: "spoofed"} | order())
    assert answer.status_code == 200
    for seen in (stack.worker.headers[-1], answer.json()["headers"]):
        assert "spoofed" not in seen.values()


async def test_the_one_header_of_ours_that_clients_may_send(stack):
    answer = await stack.post({"X-Headgate-Explain": "true", "x-explain-asked": "no"} | order())
    assert stack.worker.headers[-1]["x-headgate-explain"] == "true"
    hidden = {"x-headgate-explain", "x-explain-asked"}
    assert not hidden & set(answer.json()["headers"])
    await stack.post(order())
    assert not hidden & set(stack.worker.headers[-1])


async def test_a_client_cannot_choose_a_pool(stack):
    answer = await stack.client.get("/", headers={"x-headgate-pool": "tiny"} | order(pool="empty"))
    assert answer.status_code == 503
    undecided = await stack.client.get("/", headers={"x-headgate-pool": "tiny", "x-test": "{}"})
    assert undecided.status_code == 503
    assert not any(engine.requests for engine in stack.engines)


async def test_engines_do_not_see_credentials(stack):
    secrets = {"authorization": "Bearer sk-1", "x-api-key": "sk-1", "cookie": "a=b"}
    answer = await stack.post(secrets | order())
    assert not set(secrets) & set(answer.json()["headers"])
    seen = stack.worker.headers[-1]
    assert seen["authorization"] == "Bearer sk-1"
    assert "cookie" not in seen


async def test_request_id_and_trace_pass_through(stack):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    mine = {"x-request-id": "0af76519-16cd-43dd-8448-eb211c80319c", "traceparent": trace}
    answer = await stack.post(mine | order())
    assert answer.headers["x-request-id"] == mine["x-request-id"]
    assert mine.items() <= answer.json()["headers"].items()
    assert mine.items() <= stack.worker.headers[-1].items()


async def test_a_request_id_is_made_when_there_is_none(stack):
    first, second = await stack.post(order()), await stack.post(order(deny=[401, "x"]))
    ids = {answer.headers["x-request-id"] for answer in (first, second)}
    assert len(ids) == 2
    assert first.headers["x-request-id"] == first.json()["headers"]["x-request-id"]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/v1/../v1/models", "/v1/models"),
        ("/v1//models", "/v1/models"),
        ("/v1/%6dodels", "/v1/models"),
        ("/v1/models/" + quote("meta/llama", safe=""), "/v1/models/meta%2Fllama"),
    ],
)
async def test_paths_are_normalised_and_keep_escaped_slashes(stack, path, seen):
    answer = await stack.raw(f"GET {path} HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
    assert f'"GET {seen} HTTP/1.1"'.encode() in answer
    assert stack.worker.headers[-1][":path"] == seen


async def test_the_worker_is_told_where_a_request_comes_from(stack):
    await stack.post(order())
    attributes = stack.worker.attributes[-1]["envoy.filters.http.ext_proc"]
    assert attributes["source.address"].startswith("127.0.0.1:")


ANTHROPIC = [
    ("/v1/messages", {"pool": "empty"}, 503, "overloaded_error"),
    ("/v1/messages?beta=true", {"pool": "empty"}, 503, "overloaded_error"),
    ("/v1/messages/count_tokens", {"abort": True}, 503, "overloaded_error"),
]


@pytest.mark.parametrize(("path", "what", "status", "kind"), ANTHROPIC)
async def test_envoys_own_answers_in_anthropics_shape(stack, path, what, status, kind):
    request_id = 'a"b\\c%d'
    headers = {"x-request-id": request_id} | order(**what)
    answer = await stack.client.post(path, headers=headers, content=b"{}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "1"
    document = answer.json()
    assert document["error"].pop("message")
    assert document == {"type": "error", "error": {"type": kind}, "request_id": request_id}


async def test_a_large_message_is_refused_in_anthropics_shape(stack):
    content = b"x" * (16 * MIB + 1)
    answer = await stack.client.post("/v1/messages", headers=order(), content=content)
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "request_too_large"


async def test_an_upgrade_of_a_message_is_refused_in_anthropics_shape(stack):
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    answer = await stack.raw(f"GET /v1/messages HTTP/1.1\r\n{HEAD}{upgrade}\r\n".encode())
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (document["type"], document["error"]["type"]) == ("error", "permission_error")


async def test_what_is_no_request_yet_has_no_path_and_gets_openais_shape(stack):
    head = f"POST /v1/messages HTTP/1.1\r\n{HEAD}Transfer-Encoding: gzip\r\n\r\n"
    answer = await stack.raw(head.encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_http_request"


async def test_a_refusal_for_anthropic_passes_as_it_is(stack):
    answer = await stack.client.post("/v1/messages", headers=order(deny=[401, "x"]), content=b"{}")
    assert answer.json()["error"]["code"] == "x"
