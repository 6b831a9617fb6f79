"""What comes out, through real Envoy: the answer filter, both access logs, and streams that end badly."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.dataplane.engine import Answer
from tests.dataplane.filtering import JSON, SSE, cut, expected_strip, expected_usage
from tests.dataplane.stack import GUARD_S, order, run_stack, until

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

VLLM = Path(__file__).parents[1] / "fixtures" / "vllm"
INJECTED = [
    "chat_stream_continuous",
    "completions_stream_continuous",
    "chat_stream_tool_call_continuous",
]
EVENT = b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{"prompt_tokens":5,"completion_tokens":%d}}\n\n'
STREAM = [EVENT % i for i in range(4)] + [
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":4}}\n\n',
    b"data: [DONE]\n\n",
]


def answer_all(stack, answer: Answer) -> None:
    for engine in stack.engines:
        engine.answer = answer


async def usage_of(stack, answer: httpx.Response) -> dict[str, object]:
    [entry] = await stack.log_entries(answer.headers["x-request-id"])
    return entry["usage"]


@pytest.mark.parametrize("name", INJECTED)
@pytest.mark.parametrize("mode", [None, "usage", "continuous"])
@pytest.mark.parametrize("size", [5, 333, 100_000])
async def test_recorded_streams_in_pieces(stack, name, mode, size):
    body = (VLLM / f"{name}.body").read_bytes()
    answer_all(stack, Answer(cut(body, range(0, len(body), size)), SSE))
    answer = await stack.post(order(strip=mode) if mode else order())
    assert answer.content == (expected_strip(body, mode) if mode else body)
    assert await usage_of(stack, answer) == expected_usage(body, SSE)


async def test_one_byte_at_a_time(stack):
    body = b"".join(STREAM).replace(b"\n", b"\r\n")
    answer_all(stack, Answer([body[i : i + 1] for i in range(len(body))], SSE, pause_s=0.0005))
    answer = await stack.post(order(strip="usage"))
    assert answer.content == expected_strip(body, "usage")
    assert await usage_of(stack, answer) == {"prompt_tokens": 5, "completion_tokens": 4}


@pytest.mark.parametrize("is_sized", [False, True])
@pytest.mark.parametrize("mode", [None, "usage"])
async def test_a_last_event_that_is_not_terminated(stack, is_sized, mode):
    body = b"".join(STREAM[:4]).removesuffix(b"\n\n")
    answer_all(stack, Answer([body], SSE, is_sized=is_sized))
    answer = await stack.post(order(strip=mode) if mode else order())
    assert answer.content == (expected_strip(body, mode) if mode else body)
    assert await usage_of(stack, answer) == {"prompt_tokens": 5, "completion_tokens": 3}


@pytest.mark.parametrize(
    "name", ["chat", "chat_tool_call", "completions_n2", "error_unknown_model"]
)
@pytest.mark.parametrize("is_sized", [False, True])
async def test_documents_pass_unchanged(stack, name, is_sized):
    body = (VLLM / f"{name}.body").read_bytes()
    answer_all(stack, Answer(cut(body, range(0, len(body), 50)), JSON, is_sized=is_sized))
    answer = await stack.post(order(strip="usage"))
    assert answer.content == body
    assert answer.headers.get("content-length") == (str(len(body)) if is_sized else None)
    assert (await usage_of(stack, answer) or {}) == expected_usage(body, JSON)


async def test_a_document_of_20_mb(stack):
    body = b'{"data":[%s],"usage":{"prompt_tokens":9}}' % b",".join([b"-0.0123456789"] * 1_500_000)
    answer_all(stack, Answer([body], JSON, is_sized=True))
    answer = await stack.post(order())
    assert answer.content == body
    assert await usage_of(stack, answer) == {"prompt_tokens": 9}


@pytest.mark.parametrize("mode", ["NONE", "STREAMED"])
@pytest.mark.parametrize("is_sized", [False, True])
async def test_a_stripped_stream_whose_headers_ext_proc_holds(stack, mode, is_sized):
    # A Lua filter that changes a chunk rewrites content-length. On the engine's side of ext_proc it would
    # do so while the headers wait there, and the client would be cut off after the first chunk.
    answer_all(stack, Answer(STREAM, SSE, is_sized=is_sized, pause_s=0.02))
    answer = await stack.post(order(strip="usage", mode=mode, answer_hang_s=0.05))
    assert stack.worker.phases[-1] == "response_headers" if mode == "NONE" else "response_body"
    assert answer.content == expected_strip(b"".join(STREAM), "usage")
    assert "content-length" not in answer.headers


async def test_events_are_not_held_back(stack):
    """The engine sends each when the one before it is here; the last two are one write."""
    sent = [*STREAM[:4], b"".join(STREAM[4:])]
    steps = asyncio.Semaphore(1)
    answer_all(stack, Answer(sent, SSE, steps=steps))
    pieces = []
    async with (
        asyncio.timeout(GUARD_S),
        stack.client.stream("POST", "/", headers=order(strip="usage"), content=b"{}") as answer,
    ):
        async for piece in answer.aiter_raw():
            pieces.append(piece)
            steps.release()
    assert pieces == [expected_strip(each, "usage") for each in sent]


async def test_a_client_that_leaves_is_counted_so_far(stack):
    answer_all(stack, Answer([EVENT % i for i in range(9)], SSE, steps=asyncio.Semaphore(3)))
    async with stack.client.stream("POST", "/", headers=order(), content=b"{}") as answer:
        async for piece in answer.aiter_raw():
            if b'"completion_tokens":2' in piece:
                break
    [entry] = await stack.log_entries(answer.headers["x-request-id"])
    assert entry["flags"] == "DC"
    assert entry["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}


async def test_an_engine_that_dies_midway_is_counted_so_far(stack):
    answer_all(stack, Answer(STREAM[:3], SSE, pause_s=0.05, is_cut=True))
    with pytest.raises(httpx.RemoteProtocolError):
        await stack.post({"x-request-id": "dies"} | order())
    [entry] = await stack.log_entries("dies")
    assert entry["status"] == 200
    assert entry["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}


async def test_the_log_has_the_labels_of_the_endpoint_that_served(stack):
    for engine, labels in zip(stack.engines, ({"gpu": "L4", "gpus": 2}, None), strict=True):
        request_id = f"served-by-{engine.endpoint}"
        wanted = {"x-request-id": request_id} | order(endpoints=engine.endpoint)
        assert (await stack.post(wanted)).status_code == 200
        [entry] = await stack.log_entries(request_id)
        assert (entry["endpoint"], entry["endpoint_labels"]) == (engine.endpoint, labels)


async def test_the_model_is_named_only_when_there_is_one(stack):
    answer = await stack.post(order(track="canary", version="v2"))
    named = {"x-headgate-model": "tiny-chat", "x-headgate-track": "canary"}
    assert named.items() <= answer.headers.items()
    assert answer.headers["x-headgate-version"] == "v2"
    assert "x-headgate-track" not in (await stack.post(order())).headers
    assert "x-headgate-model" not in (await stack.post(order(deny=[401, "x"]))).headers
    answer_all(stack, Answer([b"{}"]))
    assert (await stack.post(order())).headers["server"] == "headgate"


async def test_an_answer_that_was_routed_names_its_decision(stack):
    known = order(metadata={"settle_key": "k-1"})
    forged = {"x-headgate-decision-id": "forged"}
    assert (await stack.post(forged | known)).headers["x-headgate-decision-id"] == "k-1"
    assert "x-headgate-decision-id" not in (await stack.post(order(deny=[401, "x"]))).headers


async def test_how_the_limits_stand_is_told_when_there_are_some(stack):
    known = {"limit-tokens": "1000", "reset-tokens": "6m0s", "reserved_tokens": 512}
    answer = await stack.post(order(metadata=known))
    told = {name: value for name, value in answer.headers.items() if "ratelimit" in name}
    assert told == {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-reset-tokens": "6m0s"}
    assert answer.headers["x-headgate-reserved-tokens"] == "512"
    assert "x-headgate-limits" not in answer.headers


async def test_the_json_log(stack):
    answer_all(stack, Answer(STREAM, SSE, first_pause_s=0.1))
    await stack.client.post(
        "/v1/x?key=secret",
        headers={"x-request-id": "log", "traceparent": "00-a-b-01"} | order(),
        content=b"{}",
    )
    [entry] = await stack.log_entries("log")
    endpoints = {engine.endpoint for engine in stack.engines}
    assert entry.pop("time").endswith("Z")
    assert entry.pop("endpoint") in endpoints
    entry.pop("endpoint_labels")  # see above
    assert 100_000 <= entry.pop("ttft_us") <= entry.pop("latency_us") < 30_000_000
    assert entry == {
        "type": "DownstreamEnd",
        "request_id": "log",
        "traceparent": "00-a-b-01",
        "method": "POST",
        "path": "/v1/x",
        "protocol": "HTTP/1.1",
        "status": 200,
        "flags": "-",
        "details": "via_upstream",
        "attempts": 1,
        "bytes_in": 2,
        "bytes_out": sum(map(len, STREAM)),
        "headgate": {
            "settle_key": "s1",
            "tenant": "acme",
            "stream": True,
            "model": "tiny-chat",
            "pool": "tiny",
        },
        "usage": {"prompt_tokens": 5, "completion_tokens": 4},
    }


async def test_a_refusal_is_logged_with_its_reason(stack):
    await stack.post({"x-request-id": "denied"} | order(deny=[429, "rate_limit_exceeded"]))
    [entry] = await stack.log_entries("denied")
    assert entry["status"] == 429
    assert entry["headgate"] == {"settle_key": "s1", "deny": "rate_limit_exceeded"}
    assert entry["endpoint"] is entry["ttft_us"] is entry["usage"] is None


async def test_a_hostile_request_id_stays_one_log_line(stack):
    request_id = 'a"b\\c' + "x" * 1000
    await stack.post({"x-request-id": request_id} | order())
    assert len(await stack.log_entries(request_id[:256])) == 1
    raw = "GET / HTTP/1.1\r\nHost: a\r\nx-request-id: \xe9\xff\r\n\r\n".encode("latin-1")
    await stack.raw(raw)
    assert len(await stack.log_entries("\xe9\xff")) == 1


async def test_the_access_log_service_gets_the_same_at_once(stack):
    answer_all(stack, Answer(STREAM, SSE, first_pause_s=0.05))
    await stack.post(order(strip="usage", metadata={"settle_key": "at once"}))
    found = []

    async def has_come():
        keys = [each["metadata"]["headgate"].get("settle_key") for each in stack.worker.entries]
        found[:] = [
            e for e, key in zip(stack.worker.entries, keys, strict=True) if key == "at once"
        ]
        return found

    await until(has_come)
    [entry] = found
    assert entry["type"] == "DownstreamEnd"
    assert entry["metadata"]["headgate.usage"] == {"prompt_tokens": 5, "completion_tokens": 4}
    assert entry["metadata"]["headgate"]["strip"] == "usage"
    assert int(entry["tags"]["ttft_us"]) >= 50_000


async def test_requests_in_flight_are_logged_from_time_to_time():
    async with run_stack(periodic_log_s=0.2) as stack:
        steps = asyncio.Semaphore(2)
        answer_all(stack, Answer(STREAM, SSE, steps=steps))

        async def was_told_of():
            return [each for each in stack.log_so_far("long") if each["usage"]][1:]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stack.post({"x-request-id": "long"} | order()))
            await until(was_told_of)
            for _ in STREAM[2:]:
                steps.release()
        entries = await stack.log_entries("long")
    types = [entry["type"] for entry in entries]
    assert len(types) > 2
    assert types == ["DownstreamPeriodic"] * (len(types) - 1) + ["DownstreamEnd"]
    so_far = [entry["usage"]["completion_tokens"] for entry in entries if entry["usage"]]
    assert so_far == sorted(so_far)
    assert so_far[0] < so_far[-1] == 4
    assert entries[0]["headgate"]["settle_key"] == "s1"
