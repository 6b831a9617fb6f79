"""The gateway's own door, and what is not an answer."""

import pytest

from extproc.errors import AskError
from extproc.stores import gateway
from extproc.stores.gateway import GatewayClient
from tests.dataplane.engine import Answer, Engine


async def ask(engine, within_s=5.0):
    client = GatewayClient(f"http://{engine.endpoint}/")
    try:
        return await client.ask("/v1/x", {"authorization": "Bearer k"}, b"{}", within_s)
    finally:
        await client.close()


async def test_it_posts_and_reads():
    async with Engine(Answer([b"a", b"b"])) as engine:
        assert await ask(engine) == b"ab"
        [request] = engine.requests
        assert request["line"] == "POST /v1/x HTTP/1.1"
        assert engine.bodies == [b"{}"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer([b"{}"], status=503), "answered 503"),
        (Answer([], is_cut=True), "disconnected"),
        (Answer([b"{}"], headers_pause_s=0.3), "no answer within 0.1 s"),
        (Answer([b"x" * (gateway.MAX_BYTES + 1)]), "more than"),
    ],
    ids=["refused", "cut", "late", "endless"],
)
async def test_what_is_no_answer_is_said(answer, said):
    async with Engine(answer) as engine:
        with pytest.raises(AskError, match=said):
            await ask(engine, 0.1 if "within" in said else 5.0)


async def test_nobody_there():
    async with Engine() as engine:
        pass
    with pytest.raises(AskError):
        await ask(engine)
