"""The HTTP engine with physics, alone and as a pair of prefill and decode engines."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from engines.sim.engine import Settings
from engines.sim.profile import PROFILES

from .conftest import Client, Start

GUARD_S = 30.0
QUICK = msgspec.structs.replace(
    PROFILES["8b-h100"], step_s=0.01, weights_s=0.0, token_s=1e-5, max_seqs=2, startup_s=0.0
)


async def physical(start: Start, **changes: object) -> Client:
    settings: dict[str, object] = {"profile": QUICK, "block_size": 16, "num_blocks": QUICK.blocks}
    return await start(Settings(**{**settings, **changes}))  # type: ignore[arg-type]


def ask(number: int, **members: object) -> dict[str, object]:
    text = f"question {number} " * 40
    messages = [{"role": "user", "content": text}]
    return {"messages": messages, "max_tokens": 10, "ignore_eos": True, **members}


async def metric(sim: Client, name: str) -> float:
    async with sim.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"vllm:{name}{{"))


async def until(sim: Client, running: int, waiting: int) -> None:
    async with asyncio.timeout(GUARD_S):
        while (  # noqa: ASYNC110 - only it knows
            await metric(sim, "num_requests_running") != running
            or await metric(sim, "num_requests_waiting") != waiting
        ):
            await asyncio.sleep(0.01)


async def test_with_physics_requests_wait_for_each_other(start: Start):
    sim = await physical(start)

    async def one(number: int, **members: object) -> dict[str, Any]:
        async with sim.post("/v1/chat/completions", json=ask(number, **members)) as answer:
            return await answer.json()

    async with asyncio.TaskGroup() as group:
        long = [group.create_task(one(number, max_tokens=5000)) for number in range(5)]
        await until(sim, running=2, waiting=3)
        assert await metric(sim, "kv_cache_usage_perc") > 0
        for task in long:
            task.cancel()
    await until(sim, running=0, waiting=0)
    before = await metric(sim, "generation_tokens_total")
    told = await asyncio.gather(*(one(number) for number in range(5)))
    assert {each["usage"]["completion_tokens"] for each in told} == {10}
    assert await metric(sim, "num_requests_running") == 0
    assert await metric(sim, "generation_tokens_total") == before + 50
    assert await metric(sim, "request_queue_time_seconds_sum") > 0.2

    again = await one(3)
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == 80


async def test_with_physics_streams_are_as_without(start: Start):
    plain, slow = await start(Settings(ttft_ms=0, itl_ms=0)), await physical(start)
    texts: list[str] = []
    for sim in (plain, slow):
        usage = {"stream": True, "stream_options": {"include_usage": True}}
        async with sim.post("/v1/chat/completions", json=ask(1, n=2, **usage)) as answer:
            text = await answer.text()
        deltas = [json.loads(line[6:]) for line in text.split("\n\n")[:-2]]
        texts.append(str([(each["choices"], each.get("usage", {})) for each in deltas]))
    cached = "'cached_tokens': {}, 'created_cache_tokens': {}"
    assert texts[0].replace(cached.format(0, 64), cached.format(0, 80)) == texts[1]


async def test_who_leaves_gives_room_to_others(start: Start):
    sim = await physical(start)
    long = ask(1, max_tokens=5000, n=2)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), sim.post("/v1/chat/completions", json=long) as answer:
            await answer.read()
    async with sim.post("/v1/chat/completions", json=ask(2)) as answer:
        assert answer.status == 200
    assert await metric(sim, "num_requests_running") == 0


async def test_its_own_pace_keeps_a_request_out_of_the_batch(start: Start):
    hours = msgspec.structs.replace(QUICK, step_s=3600.0)
    sim = await physical(start, profile=hours)
    own = ask(1, x_sim={"ttft_ms": 0, "itl_ms": 0}, max_tokens=200)
    async with asyncio.timeout(GUARD_S), sim.post("/v1/chat/completions", json=own) as answer:
        assert (await answer.json())["usage"]["completion_tokens"] == 200


async def test_what_never_fits_is_refused(start: Start):
    tiny = msgspec.structs.replace(QUICK, blocks=4)
    sim = await physical(start, profile=tiny, num_blocks=4)
    async with sim.post("/v1/chat/completions", json=ask(1)) as answer:
        assert answer.status == 400
        assert "fit" in (await answer.json())["error"]["message"]


async def test_prefill_on_another_engine(start: Start):
    prefill = await physical(start, role="prefill")
    decode = await physical(start, role="decode")
    there = {"x-prefiller-host-port": f"127.0.0.1:{prefill.port}"}
    for number, headers in ((1, there), (2, {"x-prefiller-host-port": "127.0.0.1:1"})):
        body = ask(number, stream=True)
        async with decode.post("/v1/chat/completions", json=body, headers=headers) as answer:
            assert answer.status == 200
            assert (await answer.text()).count('"content":"') >= 10
    name = (
        'prompt_tokens_by_source_total{engine="0",model_name="tiny",source="external_kv_transfer"}'
    )
    async with decode.get("/metrics") as answer:
        assert f"vllm:{name} 83.0" in await answer.text()
    assert await metric(prefill, "generation_tokens_total") == 1


async def test_token_ids_on_request(sim: Client):
    async with sim.post("/v1/chat/completions", json=ask(1, return_token_ids=True)) as answer:
        body = await answer.json()
    assert len(body["prompt_token_ids"]) == body["usage"]["prompt_tokens"]
    assert len(body["choices"][0]["token_ids"]) == 10
