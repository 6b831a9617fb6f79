"""Services that judge, over HTTP: what they are asked, and what becomes of slow, dead and odd ones."""

import asyncio

import pytest
from aiohttp import web

from extproc.errors import DetectorError
from extproc.policy.base import Secret
from extproc.policy.moderation import ModeratorPolicy
from extproc.safety.moderation.rules import Question
from extproc.stores.moderators import MOST_BYTES, HttpModerator, ModeratorClient
from extproc.stores.services import PAUSE_S
from tests.extproc.stores.serving import serving

PATIENT_MS = 60_000
"""Longer than a policy may say: what answers shall be heard on a busy machine as well."""
REQUEST = Question(["one", "two"], "request")


@pytest.fixture
async def client():
    client = ModeratorClient()
    yield client
    await client.close()


def policy(url, kind="openai_moderations", timeout_ms=PATIENT_MS, **members):
    known = ModeratorPolicy(**{"name": "s", "kind": kind, "url": url, "model": "m", **members})
    return known.model_copy(update={"timeout_ms": timeout_ms})


def chat(said):
    return web.json_response({"choices": [{"message": {"role": "assistant", "content": said}}]})


async def test_moderations_are_one_call(client):
    seen = []

    async def handle(request):
        seen.append((await request.json(), request.headers.get("authorization")))
        scores = [{"category_scores": {"hate": 0.9}}, {"category_scores": {"hate": 0.1}}]
        return web.json_response({"results": scores})

    token = Secret(env="TOKEN")
    token.found("abc")
    async with serving(handle) as url:
        found = await client.at(policy(url, token=token)).judge(REQUEST)
    assert found == [{"hate": 0.9}, {"hate": 0.1}]
    assert seen == [({"model": "m", "input": ["one", "two"]}, "Bearer abc")]


@pytest.mark.parametrize("by", ["request", "answer"])
async def test_a_guard_is_asked_about_each_text_as_a_chat(client, by):
    seen = []

    async def handle(request):
        asked = await request.json()
        seen.append([(each["role"], each["content"]) for each in asked["messages"]])
        assert (asked["model"], asked["temperature"]) == ("m", 0)
        return chat("unsafe\nS10" if asked["messages"][-1]["content"] == "two" else "safe")

    async with serving(handle) as url:
        found = await client.at(policy(url, "guard_chat")).judge(
            Question(["one", "two \ud800"[:3]], by, "what?")
        )
    assert found == [{}, {"hate": 1.0}]
    before = [("user", "what?")] if by == "answer" else []
    role = "assistant" if by == "answer" else "user"
    assert sorted(seen) == [[*before, (role, "one")], [*before, (role, "two")]]


async def slow(_):
    await asyncio.sleep(60)
    return web.json_response({"results": [{}, {}]})


async def broken(_):
    return web.Response(status=500)


async def garbage(_):
    return web.Response(body=b"\xff<html>")


async def huge(_):
    return web.Response(body=b" " * (MOST_BYTES + 1))


async def moved(_):
    return web.Response(status=302, headers={"location": "http://127.0.0.1:1/"})


@pytest.mark.parametrize("kind", ["openai_moderations", "guard_chat"])
@pytest.mark.parametrize("handle", [slow, broken, garbage, huge, moved], ids=lambda f: f.__name__)
async def test_what_is_no_verdict_is_a_fault_in_time(client, handle, kind):
    timeout_ms = 100 if handle is slow else PATIENT_MS
    async with serving(handle) as url:
        with pytest.raises(DetectorError):
            await asyncio.wait_for(
                client.at(policy(url, kind, timeout_ms=timeout_ms)).judge(REQUEST), 30
            )


async def test_an_answer_of_a_megabyte_that_makes_sense_is_read(client):
    async def handle(_):
        many = {f"{n:040}": 0.0 for n in range(20_000)}  # 980 kB
        return web.json_response({"results": [{"category_scores": many}, {}]})

    async with serving(handle) as url:
        found = await client.at(policy(url)).judge(REQUEST)
    assert len(found[0]) == 20_000


@pytest.mark.parametrize("kind", ["openai_moderations", "guard_chat"])
@pytest.mark.parametrize("status", [200, 400, 413, 422])
async def test_nobody_takes_it_away_from_others(client, status, kind):
    """Texts that are too long for it, or that it says nothing fitting about, are one client's."""
    asked = 0

    async def handle(request):
        nonlocal asked
        asked += 1
        if b"odd" in await request.read():
            return web.json_response({"odd": 1}, status=status)
        return chat("safe") if kind == "guard_chat" else web.json_response({"results": [{}]})

    async with serving(handle) as url:
        service = client.at(policy(url, kind))
        for _ in range(5):
            with pytest.raises(DetectorError):
                await service.judge(Question(["odd"], "request"))
        assert await service.judge(Question(["one"], "request")) == [{}]
    assert asked == 6


async def test_one_that_is_down_is_left_alone_and_tried_again(client):
    asked, now_s, works = [], 100.0, False

    async def handle(_):
        asked.append(now_s)
        return web.json_response({"results": [{}, {}]}, status=200 if works else 503)

    async with serving(handle) as url:
        service = HttpModerator(client, policy(url), lambda: now_s)
        for _ in range(5):
            with pytest.raises(DetectorError):
                await service.judge(REQUEST)
        assert len(asked) == 3
        now_s, works = now_s + PAUSE_S, True
        assert await service.judge(REQUEST) == [{}, {}]
        assert await service.judge(REQUEST) == [{}, {}]
    with pytest.raises(DetectorError, match="Error"):
        await service.judge(REQUEST)
