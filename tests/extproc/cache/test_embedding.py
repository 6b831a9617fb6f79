"""Texts as vectors."""

import time
from array import array

import pytest
from aiohttp import web

from extproc.cache.embedding import Asked, Embedded, EngineEmbedder, normed
from extproc.errors import EmbeddingError
from extproc.http_client import HttpClient


def numbers(vector):
    return list(array("f", vector))


async def test_the_embedded_model_knows_two_languages():
    embedder = Embedded(deadline_s=60)
    one, same, other = [
        numbers(await embedder.embed(text))
        for text in ("How is the weather?", "天气怎么样", "Sell my shares")
    ]

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert cosine(one, one) == pytest.approx(1, abs=1e-5)
    assert cosine(one, same) > cosine(one, other) + 0.2


async def test_one_that_takes_too_long_is_not_waited_for():
    embedder = Embedded(lambda: time.sleep(0.2), deadline_s=0.01)
    with pytest.raises(EmbeddingError, match="too long"):
        await embedder.embed("x")


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [float("inf")], [float("nan")]])
def test_no_direction(vector):
    with pytest.raises(EmbeddingError):
        normed(vector)


@pytest.fixture
async def engine():
    told = {"status": 200, "body": {"data": [{"embedding": [3, 4]}]}, "asked": []}

    async def embeddings(request):
        told["asked"].append(await request.json())
        return web.json_response(told["body"], status=told["status"])

    app = web.Application()
    app.router.add_post("/v1/embeddings", embeddings)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    client = HttpClient()
    yield EngineEmbedder(client, lambda pool: [f"127.0.0.1:{port}"], Asked("e", "bge", 30)), told
    await client.close()
    await runner.cleanup()


async def test_an_engine_is_asked(engine):
    embedder, told = engine
    assert numbers(await embedder.embed("hi")) == pytest.approx([0.6, 0.8])
    assert told["asked"] == [{"model": "bge", "input": "hi"}]


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500},
        {"body": {}},
        {"body": {"data": []}},
        {"body": {"data": [{"embedding": []}]}},
    ],
)
async def test_an_engine_that_makes_no_sense(engine, answer):
    embedder, told = engine
    told.update(answer)
    with pytest.raises(EmbeddingError):
        await embedder.embed("hi")


async def test_a_long_answer_comes_in_pieces(engine):
    embedder, told = engine
    told["body"] = {"data": [{"embedding": [0.1234567890123] * 16_000}]}
    assert len(numbers(await embedder.embed("hi"))) == 16_000
    told["body"] = {"data": [{"embedding": [0.1234567890123] * 80_000}]}
    with pytest.raises(EmbeddingError, match="more than"):
        await embedder.embed("hi")


async def test_nobody_to_ask():
    embedder = EngineEmbedder(HttpClient(), lambda pool: [], Asked("e", "m", 1))
    with pytest.raises(EmbeddingError, match="no engine"):
        await embedder.embed("hi")


async def test_an_engine_that_is_not_there():
    client = HttpClient()
    embedder = EngineEmbedder(client, lambda pool: ["127.0.0.1:1"], Asked("e", "m", 1))
    with pytest.raises(EmbeddingError, match="did not answer"):
        await embedder.embed("hi")
    await client.close()
