"""Asking the engine. That the answers are right is shown against the real one, in tests/vllm."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web

from extproc.counting.engine import COUNT_TOKENS, TOKENIZE, EngineClient, EngineCounter, ask
from extproc.counting.given import read_given
from extproc.counting.tokenizer import CountError
from extproc.request import Kind

HI = {"messages": [{"role": "user", "content": "hi"}]}


class Engine:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.answer = web.json_response
        self.told = {"count": 7, "tokens": [1] * 7}
        self.wait_s = 0.0

    async def serve(self, request):
        self.asked.append((request.path, await request.json()))
        await asyncio.sleep(self.wait_s)
        return self.answer(self.told)


@asynccontextmanager
async def asking(engine, deadline_s=30.0, endpoints=1):
    app = web.Application()
    app.router.add_post("/{path:.*}", engine.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    client = EngineClient()
    names = []
    for _ in range(endpoints):
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
    names = [f"{host}:{port}" for host, port in runner.addresses]
    try:
        yield EngineCounter(client, lambda pool: names if pool == "p" else [], deadline_s)
    finally:
        await client.close()
        await runner.cleanup()


async def count(counter, kind=Kind.CHAT, document=HI, pool="p"):
    return await counter.count(kind, document, read_given(kind, document), pool, "served")


async def test_it_is_asked_once_for_the_same_prompt():
    engine = Engine()
    async with asking(engine) as counter:
        assert [await count(counter) for _ in range(3)] == [7] * 3
        other = {"messages": [*HI["messages"], *HI["messages"]]}
        assert await count(counter, document=other) == 7
    assert [path for path, _ in engine.asked] == [TOKENIZE] * 2
    assert engine.asked[0][1]["model"] == "served"


async def test_every_text_of_a_batch_is_asked_for():
    engine = Engine()
    async with asking(engine) as counter:
        assert await count(counter, Kind.COMPLETIONS, {"prompt": ["a", "b"]}) == 14
        assert await count(counter, Kind.COMPLETIONS, {"prompt": [[1, 2], [3]]}) == 3
        with pytest.raises(CountError, match="too many"):
            await count(counter, Kind.COMPLETIONS, {"prompt": ["x"] * 17})
    assert len(engine.asked) == 2


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"count": -1}, "no count"),
        ({"tokens": []}, "no count"),
        ({"count": "x"}, "no sense"),
        ([], "no sense"),
        (None, "answered 500"),
        ({"count": 5, "tokens": ["x" * 1000] * 20_000}, "too long"),
    ],
)
async def test_answers_without_sense(told, said):
    engine = Engine()
    engine.told = told
    if told is None:
        engine.answer = lambda _told: web.Response(status=500)
    async with asking(engine) as counter:
        with pytest.raises(CountError, match=said):
            await count(counter)


async def test_one_that_is_late_is_left_alone_for_a_while():
    engine = Engine()
    engine.wait_s = 0.3
    async with asking(engine, deadline_s=0.05) as counter:
        with pytest.raises(CountError, match="TimeoutError"):
            await count(counter)
        with pytest.raises(CountError, match="no engine"):
            await count(counter)
    assert len(engine.asked) == 1


async def test_nobody_there():
    async with asking(Engine()) as counter:
        with pytest.raises(CountError, match="no engine"):
            await count(counter, pool="other")
    gone = EngineCounter(client := EngineClient(), lambda _pool: ["127.0.0.1:1"], 1.0)
    with pytest.raises(CountError, match="did not count"):
        await count(gone)
    await client.close()


async def test_engines_take_turns():
    engine = Engine()
    async with asking(engine, endpoints=2) as counter:
        picked = {counter._pick("p") for _ in range(4)}
    assert len(picked) == 2


async def test_a_client_that_never_asked_closes_as_well():
    await EngineClient().close()


def put(kind, document):
    [(path, body)] = ask(kind, document, read_given(kind, document), "served")
    return path, msgspec.json.decode(body)


def test_what_is_asked_for_chats():
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    document = {
        "messages": [*HI["messages"], {"role": "assistant", "content": None, "tool_calls": calls}],
        "chat_template_kwargs": {"x": 1},
        "add_generation_prompt": False,
        "temperature": 1,
    }
    path, body = put(Kind.CHAT, document)
    assert path == TOKENIZE
    [_, message] = body["messages"]
    assert message["tool_calls"][0]["function"]["arguments"] == '{"a":1}'
    assert (body["chat_template_kwargs"], body["add_generation_prompt"]) == ({"x": 1}, False)
    assert "temperature" not in body
    assert "tools" not in body


def test_what_is_asked_for_messages():
    document = {**HI, "system": "s", "max_tokens": 5, "model": "m"}
    path, body = put(Kind.MESSAGES, document)
    assert path == COUNT_TOKENS
    assert body == {"model": "served", **HI, "system": "s"}
    image = {"type": "image", "source": {"type": "url", "url": "https://x"}}
    odd = {"messages": [{"role": "user", "content": [image, {"type": "text", "text": "x"}]}]}
    path, body = put(Kind.MESSAGES, odd)
    assert path == TOKENIZE, "without the image, which it would fetch"
    assert body["messages"] == [{"role": "user", "content": "x"}]


def test_what_is_asked_for_responses():
    path, body = put(Kind.RESPONSES, {"input": "x", "instructions": "s"})
    assert path == TOKENIZE
    assert body["add_special_tokens"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
