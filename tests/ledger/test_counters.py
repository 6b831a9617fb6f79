import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from engines.sim.app import Service
from engines.sim.engine import Settings, SimEngine
from ledger.config import Endpoint
from ledger.counters import Counters, NoCountersError, Scrape, read_counters, scrape_all

VLLM = b"""\
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="a } b"} 1.234e+06
vllm:prompt_tokens_total{engine="1",model_name="a } b"} 1000.0
vllm:prompt_tokens_created{engine="0",model_name="a } b"} 1.7e+09
vllm:prompt_tokens_cached_total{engine="0",model_name="a } b"} 7.0
vllm:generation_tokens_total{engine="0",model_name="a } b"} 5.0 1790000000000
vllm:generation_tokens_total{engine="1",model_name="a } b"} 6.0
process_start_time_seconds 1.79000000012e+09
"""


def test_series_of_all_engines_are_added_up():
    assert read_counters(VLLM) == Counters(1_235_000, 11, 1_790_000_000.12)


def test_without_labels_and_without_a_start():
    text = b"vllm:prompt_tokens_total 3\nvllm:generation_tokens_total 4 1790000000\n"
    assert read_counters(text) == Counters(3, 4)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"up 1\n",
        b"vllm:prompt_tokens_total 3\n",
        b"vllm:prompt_tokens_total\nvllm:generation_tokens_total 4\n",
        b"vllm:prompt_tokens_total NaN\nvllm:generation_tokens_total 4\n",
        b"vllm:prompt_tokens_total{} x\nvllm:generation_tokens_total 4\n",
        b"vllm:prompt_tokens_total -1\nvllm:generation_tokens_total 4\n",
        b"\xff\x00{}}{ \n" * 3,
    ],
)
def test_what_is_no_answer(text):
    with pytest.raises(NoCountersError):
        read_counters(text)


async def serving(app):
    server = TestServer(app)
    await server.start_server()
    return server, Endpoint(f"127.0.0.1:{server.port}", "p")


async def test_the_built_in_engine():
    server, endpoint = await serving(Service(SimEngine(Settings())).app())
    async with TestClient(server) as client:
        ask = {"model": "tiny", "prompt": "one two three", "max_tokens": 5, "ignore_eos": True}
        async with client.post("/v1/completions", json=ask) as answer:
            usage = (await answer.json())["usage"]
        scrape = (await scrape_all([endpoint]))[endpoint.address]
    assert isinstance(scrape, Scrape)
    assert scrape.counters.prompt_tokens == usage["prompt_tokens"]
    assert scrape.counters.completion_tokens == usage["completion_tokens"] == 5
    assert scrape.counters.started_s is not None
    assert scrape.counters.started_s * 1000 <= scrape.began_ms <= scrape.ended_ms


async def test_one_that_is_silent_delays_no_other():
    async def hang(_request):
        await asyncio.sleep(30)

    async def refuse(_request):
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/hang", hang)
    app.router.add_get("/metrics", refuse)
    server, endpoint = await serving(app)
    async with server:
        found = await scrape_all(
            [endpoint, Endpoint(endpoint.address, "p", "/hang"), Endpoint("127.0.0.1:1", "p")]
        )
    assert found["127.0.0.1:1"] == "ClientConnectorError"
    assert found[endpoint.address] in ("status 503", "no answer within 1.5 s")
