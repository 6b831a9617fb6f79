"""The real application behind aiohttp's test client; `start` may be called more than once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from engines.sim.app import Service
from engines.sim.engine import Settings, SimEngine

Client = TestClient[web.Request, web.Application]
Start = Callable[[Settings], Awaitable[Client]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(settings: Settings) -> Client:
            server = TestServer(Service(SimEngine(settings)).app())
            await server.start_server(auto_decompress=False)
            return await stack.enter_async_context(TestClient(server))

        yield start


@pytest.fixture
async def sim(start: Start) -> Client:
    """An engine that answers at once."""
    return await start(Settings(ttft_ms=0, itl_ms=0, max_model_len=4096))
