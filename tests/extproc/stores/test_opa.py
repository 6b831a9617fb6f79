"""An authority over HTTP. What it answers here is what OPA 1.22 was seen to answer."""

import asyncio
import contextlib

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from extproc.access import Asked, tell
from extproc.errors import AuthorityError
from extproc.policy.access import AuthorityPolicy
from extproc.policy.base import Secret
from extproc.ports import Ruling
from extproc.request import Identity
from extproc.stores.opa import MAX_BYTES, REASON_LENGTH, TRIES, OpaClient, read
from tests.extproc.stores.serving import serving

KNOWN = tell(Identity("acme", "k", groups=frozenset({"a"})), Asked("chat", "m"), 0)
DECISION = "/v1/data/headgate/allow"


@pytest.fixture
async def client():
    client = OpaClient()
    yield client
    await client.close()


@contextlib.asynccontextmanager
async def speaking(converse):
    """Serve bytes; yield a URL."""
    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}{DECISION}"


PATIENT_MS = 60_000
"""Longer than a policy may say: what answers shall be heard on a busy machine as well."""


def policy(url, deadline_ms=PATIENT_MS, **members):
    known = AuthorityPolicy(url=url, **members)
    return known.model_copy(update={"deadline_ms": deadline_ms})


@pytest.mark.parametrize(
    ("raw", "ruling"),
    [
        (b'{"result":true}\n', Ruling(True)),
        (b'{"result":false}\n', Ruling(False)),
        (b'{"result":{"allow":true}}', Ruling(True)),
        (b'{"result":{"allow":false,"reason":"too much"}}', Ruling(False, "too much")),
        (b'{"result":{"allow":false,"reason":null}}', Ruling(False)),
        (b'{"result":{"allow":true,"extra":[1]},"decision_id":"x"}', Ruling(True)),
        (b"{}\n", Ruling(False)),
        (b'{"warning":{"code":"api_usage_warning"}}', Ruling(False)),
    ],
)
def test_answers(raw, ruling):
    assert read(raw) == ruling


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"true", b"null", b"[]", b"<html>", b"\xff", b'{"result":null}', b'{"result":"yes"}',
        b'{"result":1}', b'{"result":[true]}', b'{"result":{}}', b'{"result":{"allow":"true"}}',
        b'{"result":{"allow":1}}', b'{"result":{"allow":true,"reason":1}}', b'{"result":true',
        b"[" * 50_000,
    ],
)  # fmt: skip
def test_what_is_no_answer(raw):
    with pytest.raises(AuthorityError, match="answered no ruling"):
        read(raw)


JSON = st.recursive(st.none() | st.booleans() | st.text(), st.lists)


@given(st.binary() | JSON.map(msgspec.json.encode))
def test_nothing_is_allowed_but_by_saying_so(raw):
    with contextlib.suppress(AuthorityError):
        assert not read(raw).allows


def test_a_long_reason_is_cut():
    raw = msgspec.json.encode({"result": {"allow": False, "reason": "x" * 10_000}})
    assert read(raw).reason == "x" * REASON_LENGTH


async def test_a_question(client):
    asked = []

    async def handle(request):
        asked.append((await request.json(), request.headers))
        return web.json_response({"result": {"allow": False, "reason": "no"}})

    token = Secret(env="OPA_TOKEN")
    token.found("s3cret")
    async with serving(handle, DECISION) as url:
        assert await client.at(policy(url, token=token)).ask(KNOWN) == Ruling(False, "no")
    ((body, headers),) = asked
    assert body["input"]["identity"]["groups"] == ["a"]
    assert body["input"]["request"]["operation"] == "chat"
    assert body["input"]["time"] == {"hour": 0, "weekday": 4, "epoch": 0}
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"


async def test_without_a_token_there_is_no_credential(client):
    async def handle(request):
        return web.json_response({"result": "authorization" not in request.headers})

    async with serving(handle, DECISION) as url:
        assert (await client.at(policy(url)).ask(KNOWN)).allows


async def test_many_at_once(client):
    async def handle(request):
        body = await request.json()
        return web.json_response({"result": body["input"]["identity"]["user"] == "even"})

    async with serving(handle, DECISION) as url, asyncio.TaskGroup() as tasks:
        authority = client.at(policy(url))
        asked = [
            tasks.create_task(authority.ask({**KNOWN, "identity.user": user}))
            for user in ("even", "odd") * 100
        ]
        await asyncio.wait(asked)
    assert [task.result().allows for task in asked] == [True, False] * 100


async def test_down(client):
    async with speaking(lambda _reader, writer: writer.close()) as url:
        pass
    with pytest.raises(AuthorityError, match="Cannot connect"):
        await client.at(policy(url)).ask(KNOWN)


async def test_slow(client):
    hung = asyncio.Event()

    async def handle(_request):
        await hung.wait()
        return web.json_response({"result": True})

    async with serving(handle, DECISION) as url:
        with pytest.raises(AuthorityError, match="no answer within 30 ms"):
            await client.at(policy(url, deadline_ms=30)).ask(KNOWN)
        hung.set()


async def test_drop_by_drop(client):
    """A deadline is for the whole answer, not from one byte to the next."""

    async def handle(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(300):
                await answer.write(b" ")
                await asyncio.sleep(0.01)
        return answer

    async with serving(handle, DECISION) as url:
        with pytest.raises(AuthorityError, match="no answer within 50 ms"):
            await client.at(policy(url, deadline_ms=50)).ask(KNOWN)


async def test_huge(client):
    async def handle(request):
        answer = web.StreamResponse()
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            await answer.write(b'{"result":true,"x":"')
            for _ in range(100):
                await answer.write(b"x" * MAX_BYTES)
        return answer

    async with serving(handle, DECISION) as url:
        with pytest.raises(AuthorityError, match="more than"):
            await client.at(policy(url)).ask(KNOWN)


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500, body=b'{"result":true}'),
        web.Response(status=404, body=b'{"result":true}'),
        web.Response(status=302, headers={"location": DECISION}, body=b'{"result":true}'),
        web.Response(status=204),
        web.Response(body=b"not json"),
        web.Response(body=b'{"result":true}', headers={"content-encoding": "br"}),
    ],
    ids=lambda answer: str(answer.status),
)
async def test_what_makes_no_sense(client, answer):
    async def handle(_request):
        return answer

    async with serving(handle, DECISION) as url:
        if "content-encoding" in answer.headers:
            # Nothing is unpacked: an answer is small, and what is packed may not be.
            assert (await client.at(policy(url)).ask(KNOWN)).allows
            return
        with pytest.raises(AuthorityError, match="answered"):
            await client.at(policy(url)).ask(KNOWN)


@pytest.mark.parametrize(
    "said", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}", b"\x16\x03"]
)
async def test_what_is_no_http(client, said):
    async def converse(reader, writer):
        await reader.read(100)
        writer.write(said)
        writer.close()
        await writer.wait_closed()

    async with speaking(converse) as url:
        with pytest.raises(AuthorityError):
            await client.at(policy(url)).ask(KNOWN)


async def test_a_connection_that_is_closed_when_it_is_used_again_is_no_fault(client):
    """An authority that restarts between two questions does not show."""
    connections = []

    async def converse(reader, writer):
        connections.append(writer)
        questions = 0
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"}}}"):
                questions += 1
                if len(connections) == 1 and questions == 2:
                    break
                writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"result":true}')
        writer.close()

    async with speaking(converse) as url:
        authority = client.at(policy(url))
        assert [(await authority.ask(KNOWN)).allows for _ in range(3)] == [True] * 3
        assert len(connections) == 2
        await client.close()


async def test_one_that_always_closes_is_a_fault(client):
    connections = []

    async def converse(reader, writer):
        connections.append(await reader.readuntil(b"}}}"))
        writer.close()

    async with speaking(converse) as url:
        with pytest.raises(AuthorityError):
            await client.at(policy(url)).ask(KNOWN)
    assert len(connections) == TRIES


async def test_a_client_that_was_never_used_closes():
    await OpaClient().close()
