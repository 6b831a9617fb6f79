"""One data plane for each test module: a start takes half a second."""

import pytest_asyncio

from tests.dataplane.stack import run_stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack():
    async with run_stack() as running:
        yield running


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def quiet_engines(request):
    """Each test tells the engines what to answer; otherwise they echo."""
    yield
    if "stack" in request.fixturenames:
        for engine in request.getfixturevalue("stack").engines:
            engine.answer = None
            engine.requests.clear()
