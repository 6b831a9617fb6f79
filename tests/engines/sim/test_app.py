import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ServerDisconnectedError
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from engines.sim.app import Service
from engines.sim.engine import Settings, SimEngine

from .conftest import Client, Start

GUARD_S = 30.0
CHAT = "/v1/chat/completions"
HI = {"messages": [{"role": "user", "content": "Hello, world!"}], "max_tokens": 4}
SLOW = Settings(ttft_ms=50, itl_ms=20)


async def post(client: Client, body: object, path: str = CHAT) -> tuple[int, Any]:
    async with client.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def whole(client: Client, body: object) -> bytes:
    async with client.post(CHAT, json=body) as answer:
        return await answer.read()


async def metric(client: Client, name: str, **labels: str) -> float:
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        families = text_string_to_metric_families(await answer.text())
    values = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == f"vllm:{name}" and labels.items() <= sample.labels.items()
    ]
    assert len(values) == 1
    return values[0]


async def settled(client: Client) -> tuple[float, ...]:
    """Prompt and generation tokens once nothing runs any more."""
    async with asyncio.timeout(GUARD_S):
        while await metric(client, "num_requests_running"):  # noqa: ASYNC110 - only it knows
            await asyncio.sleep(0.01)
    names = ("prompt_tokens_total", "generation_tokens_total")
    return tuple([await metric(client, name) for name in names])


async def test_chat(sim: Client):
    status, body = await post(sim, {"model": "tiny", **HI})
    assert status == 200
    assert body["usage"]["prompt_tokens"] == 7
    assert body["usage"]["completion_tokens"] == 4
    assert await settled(sim) == (7, 4)


async def test_the_same_request_has_the_same_answer_and_another_id(sim: Client):
    (_, first), (_, second) = await post(sim, HI), await post(sim, HI)
    assert first["choices"] == second["choices"]
    assert first["id"] != second["id"]


async def test_completions(sim: Client):
    status, body = await post(sim, {"prompt": ["a", "b c"], "n": 2}, "/v1/completions")
    assert status == 200
    assert body["id"].startswith("cmpl-")
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["usage"]["prompt_tokens"] == 3
    assert await settled(sim) == (6, body["usage"]["completion_tokens"])


async def test_embeddings(sim: Client):
    status, body = await post(sim, {"model": "tiny", "input": "a b"}, "/v1/embeddings")
    assert (status, len(body["data"])) == (200, 1)
    assert await settled(sim) == (2, 0)


async def test_tokenize(sim: Client):
    assert (await post(sim, {"prompt": "a b"}, "/tokenize"))[1]["count"] == 2
    assert (await post(sim, {"messages": HI["messages"]}, "/tokenize"))[1]["count"] == 7


async def test_models_and_health(start: Start):
    client = await start(Settings(models=("tiny", "alias")))
    async with client.get("/v1/models") as answer:
        assert [card["id"] for card in (await answer.json())["data"]] == ["tiny", "alias"]
    async with client.get("/health") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    assert (await post(client, {"model": "alias", **HI}))[1]["model"] == "tiny"


@pytest.mark.parametrize(
    ("given", "header", "expected"),
    [({"request_id": "mine"}, None, "mine"), ({"request_id": "mine"}, "theirs", "theirs")],
)
async def test_ids(sim: Client, given: dict[str, str], header: str | None, expected: str):
    headers = {"X-Request-Id": header} if header else {}
    async with sim.post(CHAT, json={**HI, **given}, headers=headers) as answer:
        assert (await answer.json())["id"] == f"chatcmpl-{expected}"


async def say(client: Client, *headers: bytes) -> tuple[bytes, bytes]:
    """Ask with headers that no client sends; the status line and the end of what came."""
    body = b'{"messages":[{"role":"user","content":"hi"}],"max_tokens":1}'
    given = (b"Host: sim", b"Content-Type: application/json", b"Connection: close", *headers)
    length = b"Content-Length: %d" % len(body)
    head = b"\r\n".join([b"POST %b HTTP/1.1" % CHAT.encode(), *given, length, b"", b""])
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(head + body)
    try:
        came = await reader.read()
    finally:
        writer.close()
    return came.partition(b"\r\n")[0], came.rpartition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", ["caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), b"caf\xe9"])
async def test_an_id_is_latin_1_as_for_vllm(sim: Client, name: bytes):
    status, body = await say(sim, b"X-Request-Id: " + name)
    assert status == b"HTTP/1.1 200 OK"
    assert json.loads(body)["id"] == f"chatcmpl-{name.decode('latin-1')}"


@pytest.mark.parametrize(
    ("expected", "status"),
    [(b"100-Continue", b"HTTP/1.1 100 Continue"), (b"200-ok", b"HTTP/1.1 200 OK")],
)
async def test_expectations(sim: Client, expected: bytes, status: bytes):
    first, body = await say(sim, b"Expect: " + expected)
    assert first == status
    assert json.loads(body)["usage"]["completion_tokens"] == 1


async def test_a_stream(sim: Client):
    async with sim.post(CHAT, json={**HI, "stream": True}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        events = (await answer.text()).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    words = [json.loads(event[6:])["choices"][0]["delta"]["content"] for event in events[:-2]]
    assert "".join(words) == (await post(sim, HI))[1]["choices"][0]["message"]["content"]


async def test_headers_come_long_before_the_first_token(start: Start):
    client = await start(Settings(ttft_ms=60_000))
    async with asyncio.timeout(GUARD_S):
        answer = await client.post(CHAT, json={**HI, "stream": True})
        assert answer.status == 200
        assert await metric(client, "num_requests_running") == 1
        answer.close()
        assert await settled(client) == (0, 0)


async def test_the_prefix_cache_and_its_salt(sim: Client):
    body = {"prompt": "word " * 100, "max_tokens": 1}
    cached = []
    for salt in ("a", "a", "b"):
        _, answer = await post(sim, {**body, "cache_salt": salt}, "/v1/completions")
        cached.append(answer["usage"]["prompt_tokens_details"]["cached_tokens"])
    assert cached == [0, 96, 0]
    assert await metric(sim, "prefix_cache_queries_total") == 300
    assert await metric(sim, "prefix_cache_hits_total") == 96


@pytest.mark.parametrize("stream", [True, False])
async def test_the_engine_stops_when_the_client_leaves(start: Start, *, stream: bool):
    client = await start(SLOW)
    body = {**HI, "max_tokens": 5000, "ignore_eos": True, "stream": stream}

    async def leave_after_three_tokens() -> None:
        while await metric(client, "generation_tokens_total") < 3:  # noqa: ASYNC110 - only it knows
            await asyncio.sleep(0.01)
        request.cancel()

    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as group:
        request = group.create_task(whole(client, body))
        group.create_task(leave_after_three_tokens())

    prompt_tokens, generation_tokens = await settled(client)
    assert prompt_tokens == 7
    assert 3 <= generation_tokens < 2000
    await asyncio.sleep(0.1)
    assert await metric(client, "generation_tokens_total") == generation_tokens
    assert await metric(client, "request_success_total", finished_reason="abort") == 0


@pytest.mark.parametrize(("fault", "status"), [("error_500", 500), ("error_503", 503)])
@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
async def test_errors_that_were_asked_for(sim: Client, path: str, fault: str, status: int):
    body = {**HI, "prompt": "a", "input": "a", "x_sim": {"fault": fault}}
    told, answer = await post(sim, body, path)
    assert (told, answer["error"]["code"], answer["error"]["param"]) == (status, status, None)
    assert await settled(sim) == (0, 0)


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("stream", [True, False])
async def test_cut_before_headers(sim: Client, path: str, *, stream: bool):
    body = {**HI, "prompt": "a", "input": "a", "stream": stream}
    with pytest.raises(ServerDisconnectedError):
        await sim.post(path, json={**body, "x_sim": {"fault": "cut_before_headers"}})


@pytest.mark.parametrize(
    ("fault", "events"), [("cut_after_headers", 0), ("cut_after:0", 0), ("cut_after:3", 3)]
)
async def test_a_stream_that_is_cut(sim: Client, fault: str, events: int):
    received = bytearray()

    async def receive() -> None:
        async with sim.post(CHAT, json=body) as answer:
            assert answer.status == 200
            async for data in answer.content.iter_any():
                received.extend(data)

    body = {**HI, "stream": True, "x_sim": {"fault": fault}}
    with pytest.raises(ClientPayloadError):
        await receive()
    assert received.count(b"\n\n") == events
    assert b"[DONE]" not in received
    assert sum(await settled(sim)) > 0
    assert await metric(sim, "request_success_total", finished_reason="length") == 0


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("fault", ["cut_after_headers", "cut_after:10"])
async def test_a_body_that_is_cut(sim: Client, path: str, fault: str):
    body = {**HI, "prompt": "a", "input": "a", "x_sim": {"fault": fault}}
    async with sim.post(path, json=body) as answer:
        assert answer.status == 200
        with pytest.raises(ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/embeddings"])
@pytest.mark.parametrize("stream", [True, False])
async def test_hang(sim: Client, path: str, *, stream: bool):
    body = {**HI, "prompt": "a", "input": "a", "stream": stream, "x_sim": {"fault": "hang"}}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sim.post(path, json=body), 0.1)
    assert await settled(sim) == (0, 0)


async def test_slow(start: Start):
    client = await start(Settings(ttft_ms=10, itl_ms=1))
    started_s = asyncio.get_running_loop().time()
    await post(client, {**HI, "x_sim": {"fault": "slow"}})
    assert asyncio.get_running_loop().time() - started_s > 0.12


@pytest.mark.parametrize("stream", [True, False])
async def test_huge(sim: Client, *, stream: bool):
    body = {**HI, "stream": stream, "x_sim": {"fault": "huge:3000000"}}
    async with sim.post(CHAT, json=body) as answer:
        assert len(await answer.read()) > 3_000_000
    assert await settled(sim) == (7, 4)


@pytest.mark.parametrize("stream", [True, False])
async def test_drip(sim: Client, *, stream: bool):
    def without_ids(raw: bytes) -> bytes:
        return b"".join(part for part in raw.split(b",") if b'"id"' not in part)

    body = {**HI, "stream": stream}
    async with sim.post(CHAT, json=body) as answer:
        whole = await answer.read()
    async with sim.post(CHAT, json={**body, "x_sim": {"fault": "drip:1"}}) as answer:
        assert without_ids(await answer.read()) == without_ids(whole)


async def test_the_pace_of_one_request(start: Start):
    client = await start(Settings(ttft_ms=60_000, itl_ms=60_000))
    async with asyncio.timeout(GUARD_S):
        status, _ = await post(client, {**HI, "x_sim": {"ttft_ms": 1, "itl_ms": 1}})
    assert status == 200


async def test_the_fail_rate(start: Start):
    client = await start(Settings(ttft_ms=0, itl_ms=0, fail_rate=0.5))
    statuses = [(await post(client, HI))[0] for _ in range(40)]
    assert set(statuses) == {200, 503}


BAD = [
    (CHAT, b"{", "application/json", 400),
    (CHAT, b"", "application/json", 400),
    (CHAT, b"{}", "text/plain", 400),
    (CHAT, b"{}", "application/json", 400),
    (CHAT, b'{"messages":[],"stream_options":{"include_usage":true}}', "application/json", 400),
    (CHAT, b'{"messages":[],"model":"gpt"}', "application/json", 404),
    (CHAT, b"\x1f\x8b\x08\x00", "application/json", 400),
    ("/v1/completions", b"{}", "application/json", 400),
    ("/v1/embeddings", b'{"input":{}}', "application/json", 400),
    ("/tokenize", b"[]", "application/json", 400),
]


@pytest.mark.parametrize(("path", "raw", "media_type", "status"), BAD)
async def test_bad_input(sim: Client, path: str, raw: bytes, media_type: str, status: int):
    async with sim.post(path, data=raw, headers={"Content-Type": media_type}) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["code"] == status
    assert await settled(sim) == (0, 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/v1/nothing", 404, "Not Found"),
        ("GET", CHAT, 405, "Method Not Allowed"),
        ("POST", "/v1/models", 405, "Method Not Allowed"),
    ],
)
async def test_no_such_place(sim: Client, method: str, path: str, status: int, detail: str):
    async with sim.request(method, path) as answer:
        assert (answer.status, await answer.json()) == (status, {"detail": detail})


async def test_a_body_that_is_too_large():
    app = Service(SimEngine(Settings()), body_bytes_max=1000).app()
    async with TestClient(TestServer(app)) as client:
        assert (await post(client, {**HI, "more": "x" * 500}))[0] == 200
        assert await post(client, {**HI, "more": "x" * 1000}) == (
            413,
            {"detail": "Request Entity Too Large"},
        )


async def test_many_at_once_are_counted_to_the_token(sim: Client):
    async def one(number: int) -> tuple[int, int]:
        body = {**HI, "seed": number, "max_tokens": 1 + number % 60}
        usage = (await post(sim, body))[1]["usage"]
        return usage["prompt_tokens"], usage["completion_tokens"]

    told = await asyncio.gather(*(one(number) for number in range(200)))
    assert await settled(sim) == tuple(map(sum, zip(*told, strict=True)))
