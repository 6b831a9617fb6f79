"""KV events of a real vLLM: what they say is in its cache is what its own counters say."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from engines.blocks import chain_bytes, token_bytes
from engines.localvllm.launch import Server, running
from engines.localvllm.model import write_model
from engines.watch.caches import Caches
from engines.watch.config import KvEvents, Pool
from engines.watch.messages import Member, Members
from extproc.cli.preflight import free_port
from extproc.settings import inherited
from tests.engines.watch.waiting import until

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
BLOCK = 32
DIRECTORY = Path(__file__).parents[2] / ".vllm"


class Index:
    """What a worker would know of one endpoint."""

    def __init__(self):
        self.known, self.cleared = set(), 0

    def __call__(self, stored):
        if stored.cleared:
            self.known.clear()
            self.cleared += 1
        self.known.difference_update(stored.removed)
        self.known.update(stored.stored)

    def matched(self, hashes):
        return next((n for n, each in enumerate(hashes) if each not in self.known), len(hashes))


class Engine:
    def __init__(self, client):
        self.client = client

    async def chat(self, text, **more):
        """Ask; return the cached tokens, as the engine itself counts them."""
        asked = {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 1}
        answer = (await self.client.post("/v1/chat/completions", json={**asked, **more})).json()
        return answer["usage"]["prompt_tokens_details"]["cached_tokens"] or 0

    async def hashes(self, text, salt=""):
        asked = {"model": "tiny", "messages": [{"role": "user", "content": text}]}
        ids = (await self.client.post("/tokenize", json=asked)).json()["tokens"]
        return chain_bytes(salt, token_bytes(ids), 4 * BLOCK)


@asynccontextmanager
async def watched(tmp_path):
    """A vLLM whose cache has room for some 130 blocks, and what its events say of it."""
    ports = free_port(), free_port()
    config = {
        "enable_kv_cache_events": True,
        "publisher": "zmq",
        "endpoint": f"tcp://*:{ports[0]}",
        "replay_endpoint": f"tcp://*:{ports[1]}",
        "topic": "kv@tiny",
    }
    model = DIRECTORY / "model-tiny"
    if not model.exists():
        write_model(model)
    server = Server(
        DIRECTORY,
        model,
        free_port(),
        kv_cache_gib=0.004,
        block_size_tokens=BLOCK,
        more=("--kv-events-config", json.dumps(config)),
    )
    base = {**inherited(), "VLLM_SERVER_DEV_MODE": "1"}  # else nobody may reset its cache
    async with running(server, base, tmp_path / "vllm.log", lambda _s: None):
        index = Index()
        caches = Caches(index)
        endpoint = server.url.removeprefix("http://")
        async with (
            asyncio.TaskGroup() as tasks,
            httpx.AsyncClient(base_url=server.url, timeout=60) as client,
        ):
            listening = tasks.create_task(caches.run())
            engine = Engine(client)
            await engine.chat("before anybody listens " * 20)
            pool = Pool("p", "vllm", kv_events=KvEvents(*ports))
            caches.aim([pool], Members({"p": (Member(endpoint),)}))
            yield engine, index
            listening.cancel()


async def test_hashes_from_events_are_those_of_prompts(tmp_path):
    text = "why is the gate open " * 40
    async with watched(tmp_path) as (engine, index):
        before = await engine.hashes("before anybody listens " * 20)
        await until(lambda: index.matched(before) == len(before))

        ours = await engine.hashes(text, "tenant-a")
        theirs = await engine.hashes(text, "tenant-b")
        assert await engine.chat(text, cache_salt="tenant-a") == 0
        await until(lambda: index.matched(ours) == len(ours))
        assert index.matched(theirs) == 0, "two tenants share nothing"
        assert await engine.chat(text, cache_salt="tenant-b") == 0
        assert await engine.chat(text, cache_salt="tenant-a") == BLOCK * len(ours)

        longer = await engine.hashes(text + "and now something else " * 20, "tenant-a")
        shared = index.matched(longer)
        assert 0 < shared < len(longer)
        cached = await engine.chat(text + "and now something else " * 20, cache_salt="tenant-a")
        assert cached == BLOCK * shared, "what it found is what we said it would"

        number = 0
        while index.matched(before):  # until the cache had to let it go
            number += 1
            assert number < 40
            await engine.chat(f"{number} something to push the others out " * 60)
            await asyncio.sleep(0.2)
        assert await engine.chat("before anybody listens " * 20) == 0

        cleared = index.cleared
        await engine.client.post("/reset_prefix_cache")
        last = await engine.hashes("after the reset " * 30)
        await engine.chat("after the reset " * 30)  # events go out with the next step
        await until(lambda: index.cleared > cleared and index.matched(last) == len(last))
        assert index.known == set(last)
