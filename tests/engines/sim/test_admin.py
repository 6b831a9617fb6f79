import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from engines.sim.admin import Admin
from engines.sim.engine import Settings, SimEngine

from .conftest import Client, Start

GUARD_S = 30.0
LONG = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 1000,
    "ignore_eos": True,
    "x_sim": {"itl_ms": 50},
}
SHORT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


async def faults(sim: Client, **members: object) -> dict[str, object]:
    async with sim.post("/x_sim/faults", json=members) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def status(sim: Client, method: str, path: str, **members: object) -> int:
    json = members or None
    async with sim.request(method, path, json=json) as answer:
        return answer.status


async def until_running(sim: Client, count: int) -> None:
    async with asyncio.timeout(GUARD_S):
        while await running(sim) != count:  # noqa: ASYNC110 - only it knows
            await asyncio.sleep(0.01)


async def running(sim: Client) -> float:
    async with sim.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(x.split()[-1]) for x in lines if x.startswith("vllm:num_requests_running{"))


async def test_errors_come_and_go(sim: Client):
    assert (await faults(sim, error_rate=1, error_status=500))["error_rate"] == 1
    assert await status(sim, "POST", "/v1/chat/completions", **SHORT) == 500
    await faults(sim, error_rate=0)
    assert await status(sim, "POST", "/v1/chat/completions", **SHORT) == 200


async def test_health_says_what_it_is_told_to(sim: Client):
    await faults(sim, health_status=503)
    assert await status(sim, "GET", "/health") == 503
    assert await status(sim, "POST", "/v1/chat/completions", **SHORT) == 200


async def test_a_dead_engine_takes_everybody_with_it(sim: Client):
    async def text(stream: bool) -> tuple[int, str]:
        async with sim.post("/v1/chat/completions", json={**LONG, "stream": stream}) as answer:
            return answer.status, await answer.text()

    async with asyncio.TaskGroup() as group:
        streamed = group.create_task(text(stream=True))
        whole = group.create_task(text(stream=False))
        await until_running(sim, 2)
        await faults(sim, out_of_memory=True)
    code, events = streamed.result()
    assert code == 200
    assert events.endswith('"code":500}}\n\ndata: [DONE]\n\n')
    code, body = whole.result()
    assert code == 500
    assert "EngineCore encountered an issue" in body
    assert await status(sim, "GET", "/health") == 503
    assert await status(sim, "POST", "/v1/chat/completions", **SHORT) == 500
    await faults(sim, out_of_memory=False)
    assert await status(sim, "GET", "/health") == 200
    assert await status(sim, "POST", "/v1/chat/completions", **SHORT) == 200


async def test_a_stall_holds_tokens_and_not_health(sim: Client):
    started_s = asyncio.get_running_loop().time()
    await faults(sim, stall_s=0.15)
    assert await status(sim, "POST", "/v1/chat/completions", **SHORT) == 200
    assert asyncio.get_running_loop().time() - started_s > 0.14
    await faults(sim, stall_s=3600)
    asking = asyncio.ensure_future(status(sim, "POST", "/v1/chat/completions", **SHORT))
    await until_running(sim, 1)
    assert await status(sim, "GET", "/health") == 200
    assert not asking.done()
    asking.cancel()


async def test_a_crash_leaves_without_an_answer():
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise web.HTTPServiceUnavailable

    app = web.Application()
    app.add_routes(Admin(SimEngine(Settings()), leave).routes())
    async with (
        TestClient(TestServer(app)) as client,
        client.post("/x_sim/faults", json={"crash": True}) as answer,
    ):
        assert answer.status == 503
    assert codes == [134]


@pytest.mark.parametrize("body", [b"", b"{", b'{"error_rate":7}', b'{"no":1}'])
async def test_wrong_faults_are_refused(sim: Client, body: bytes):
    async with sim.post("/x_sim/faults", data=body) as answer:
        assert answer.status == 400


async def test_adapters_come_and_go(start: Start):
    sim = await start(Settings(ttft_ms=0, itl_ms=0, adapters=("red",)))

    async def lora(what: str, **members: object) -> tuple[int, str]:
        async with sim.post(f"/v1/{what}_lora_adapter", json=members) as answer:
            return answer.status, await answer.text()

    async with sim.get("/v1/models") as answer:
        cards = (await answer.json())["data"]
    assert [(card["id"], card["parent"]) for card in cards] == [("tiny", None), ("red", "tiny")]
    assert await status(sim, "POST", "/v1/chat/completions", **SHORT, model="blue") == 404
    added = "Success: LoRA adapter 'blue' added successfully."
    assert await lora("load", lora_name="blue", lora_path="/b") == (200, added)
    assert (await lora("load", lora_name="blue", lora_path="/b"))[0] == 400
    assert (await lora("load", lora_name="green"))[0] == 400
    async with sim.post("/v1/chat/completions", json={**SHORT, "model": "blue"}) as answer:
        assert (await answer.json())["model"] == "blue"
    async with sim.get("/metrics") as answer:
        assert 'vllm:lora_requests_info{max_lora="2"' in await answer.text()
    assert (await lora("unload", lora_name="blue"))[0] == 200
    assert (await lora("unload", lora_name="blue"))[0] == 404
