"""The client against a server: what it sends, what it takes for an answer, how much of it."""

import asyncio
import gzip

import aiohttp
import pytest
from aiohttp import web

from extproc.counting.engine import EngineClient
from extproc.http_client import AnswerError, HttpClient, LongAnswerError
from extproc.stores.gateway import GatewayClient
from extproc.stores.opa import OpaClient
from extproc.stores.services import ServiceClient
from tests.extproc.stores.serving import serving

MOST_BYTES = 1000


async def ask(handle, client=None, **asked):
    client = client or HttpClient()
    try:
        async with serving(handle) as url:
            return await client.post(url, b"{}", MOST_BYTES, **asked)
    finally:
        await client.close()


async def test_json_is_posted_with_the_headers_of_the_client_and_of_the_question():
    seen = []

    async def handle(request):
        seen.append((await request.read(), request.headers))
        return web.Response(body=b"yes", headers={"set-cookie": "a=b"})

    client = HttpClient()
    async with serving(handle) as address:
        url = address.replace("127.0.0.1", "localhost")  # no jar keeps cookies of an IP address
        for _ in range(2):
            headers = {"authorization": "Bearer k"}
            assert await client.post(url, b'{"a":1}', MOST_BYTES, headers) == b"yes"
        await client.close()
    for body, headers in seen:
        assert body == b'{"a":1}'
        assert headers["content-type"] == "application/json"
        assert headers["accept-encoding"] == "identity"
        assert headers["authorization"] == "Bearer k"
        assert "cookie" not in headers


@pytest.mark.parametrize("length", [0, 1, MOST_BYTES])
async def test_answers_of_the_allowed_size(length):
    async def handle(_request):
        return web.Response(body=b"x" * length)

    assert await ask(handle) == b"x" * length


async def test_one_byte_more_is_too_long():
    async def handle(_request):
        return web.Response(body=b"x" * (MOST_BYTES + 1))

    with pytest.raises(LongAnswerError, match=f"^answered more than {MOST_BYTES} bytes$"):
        await ask(handle)


async def test_an_endless_answer_is_given_up():
    async def handle(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b"x" * 100)

    async with asyncio.timeout(30):
        with pytest.raises(LongAnswerError):
            await ask(handle)


@pytest.mark.parametrize("status", [204, 307, 404, 503])
async def test_other_statuses_are_no_answer_and_nothing_is_followed(status):
    asked = []

    async def handle(_request):
        asked.append(status)
        return web.Response(status=status, headers={"location": "/ask"})

    with pytest.raises(AnswerError, match=f"^answered {status}$"):
        await ask(handle)
    assert asked == [status]


async def test_nobody_there():
    async def handle(_request):
        raise AssertionError

    async with serving(handle) as url:
        pass
    client = HttpClient()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.post(url, b"", MOST_BYTES)
    await client.close()


@pytest.mark.parametrize("kind", [HttpClient, OpaClient, EngineClient, ServiceClient])
async def test_which_clients_unpack_and_ask_for_packed_answers(kind):
    asked = []

    async def handle(request):
        asked.append(request.headers["accept-encoding"])
        return web.Response(body=gzip.compress(b"yes"), headers={"content-encoding": "gzip"})

    raw = await ask(handle, kind())
    assert (raw == b"yes") == (kind in {EngineClient, ServiceClient})
    assert ("gzip" in asked[0]) == (kind is ServiceClient)


async def test_what_unpacks_to_too_much_is_too_long():
    async def handle(_request):
        body = gzip.compress(b"x" * 1_000_000)
        return web.Response(body=body, headers={"content-encoding": "gzip"})

    with pytest.raises(LongAnswerError):
        await ask(handle, ServiceClient())


async def test_more_questions_than_connections_wait_for_their_turn():
    class Narrow(HttpClient):
        MOST_CONNECTIONS = 2

    inside, most = 0, 0

    async def handle(_request):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.01)
        inside -= 1
        return web.Response(body=b"yes")

    client = Narrow()
    async with serving(handle) as url:
        answers = await asyncio.gather(*(client.post(url, b"", MOST_BYTES) for _ in range(8)))
        await client.close()
    assert answers == [b"yes"] * 8
    assert most == 2


@pytest.mark.parametrize(("client", "limit"), [(HttpClient, 100), (GatewayClient, 0)])
async def test_how_many_connections(client, limit):
    opened = client() if client is HttpClient else client("http://gateway")
    assert opened.session.connector.limit == limit
    await opened.close()


async def test_it_opens_once_and_again_after_it_was_closed():
    client = HttpClient()
    session = client.session
    assert client.session is session
    await client.close()
    assert session.closed
    await client.close()
    assert not client.session.closed
    await client.close()
