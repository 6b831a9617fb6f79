"""How long nothing may come of a request, through real Envoy: what counts as silence, and what does not."""

import asyncio

import httpx
import pytest
import pytest_asyncio

from dataplane.gateway import Timeouts
from tests.dataplane.engine import Answer
from tests.dataplane.stack import GUARD_S, order, run_stack

pytestmark = [pytest.mark.envoy, pytest.mark.asyncio(loop_scope="module")]

SILENCE_S = 0.4
LONG_S = 20.0
"""Nobody waits so long: but less than a decision may take, which is no silence."""
TRIES = 8
"""An engine on a machine that stands still is silent, too: what may pass is tried until it does."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brief():
    """Where engines that say nothing are given up soon, and all else may take its time."""
    async with run_stack(silence_s=SILENCE_S) as stack:
        yield stack


@pytest.fixture(autouse=True)
def quiet(brief):
    yield
    for engine in brief.engines:
        engine.answer = None
        engine.requests.clear()


async def passes(ask):
    for _ in range(TRIES):
        if await ask():
            return True
    return False


async def test_an_engine_that_hangs_is_a_504_and_no_other_is_asked(brief):
    for engine in brief.engines:
        engine.answer = Answer([b"{}"], headers_pause_s=LONG_S)
    answer = await brief.post(order(headers={"x-envoy-retry-on": "reset"}))
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "gateway_timeout"
    [entry] = await brief.log_entries(answer.headers["x-request-id"])
    assert (entry["attempts"], entry["flags"]) == (1, "SI")
    asked = [len(engine.requests) for engine in brief.engines]
    assert sorted(asked) == [0, 1], "it may be at work"


async def test_an_answer_that_stops_is_cut(brief):
    for engine in brief.engines:
        engine.answer = Answer([b"data: 1\n\n", b"data: 2\n\n"], pause_s=LONG_S)
    request_id, got = "stops-1", b""
    headers = order() | {"x-request-id": request_id}
    with pytest.raises(httpx.RemoteProtocolError):
        async with brief.client.stream("POST", "/v1/chat/completions", headers=headers) as answer:
            async for piece in answer.aiter_raw():
                got += piece
    assert got == b"data: 1\n\n"
    [entry] = await brief.log_entries(request_id)
    assert (entry["status"], entry["flags"]) == (200, "SI")


async def test_an_answer_that_goes_on_slowly_is_whole(brief):
    for engine in brief.engines:
        engine.answer = Answer([b"data: 1\n\n"] * 10, pause_s=SILENCE_S / 8)

    async def is_whole():
        try:
            return (await brief.post(order())).content == b"data: 1\n\n" * 10
        except httpx.RemoteProtocolError:
            return False

    assert await passes(is_whole)


async def test_a_worker_may_think_for_longer_than_engines_may_be_silent(brief):
    async def is_served():
        return (await brief.post(order(hang_s=2 * SILENCE_S))).status_code == 200

    assert await passes(is_served)


@pytest.mark.parametrize("mode", ["NONE", "FULL_DUPLEX_STREAMED"])
async def test_a_worker_that_looks_at_the_answer_meanwhile_is_silence_too(brief, mode):
    answer = await brief.post(order(mode=mode, answer_hang_s=LONG_S))
    assert answer.status_code == 504


async def test_a_body_may_pause_for_longer_than_engines_may_be_silent(brief):
    async def is_served():
        reader, writer = await asyncio.open_connection("127.0.0.1", brief.envoy.port)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nx-test: {order()['x-test']}\r\n"
        writer.write(f"{head}content-length: 4\r\n\r\n{{}}".encode())
        await asyncio.sleep(2 * SILENCE_S)
        writer.write(b"  ")
        async with asyncio.timeout(GUARD_S):
            status = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return b" 200 " in status

    assert await passes(is_served)


async def test_undecided_silence_has_a_time_of_its_own():
    """A body that stops coming before anybody has decided: the client's fault."""
    async with run_stack(timeouts=Timeouts(stream_idle_s=0.2)) as stack:
        head = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n"
        answer = await stack.raw(head + b"{")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"request_timeout"' in answer
