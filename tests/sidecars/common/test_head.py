"""HEAD answers as GET does, less the body."""

import httpx
from fastapi import FastAPI

from sidecars.common.head import Head


async def test_head_is_get_without_a_body():
    app = FastAPI()
    app.add_api_route("/x", lambda: {"a": 1})
    transport = httpx.ASGITransport(Head(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        got, head = await client.get("/x"), await client.head("/x")
        assert (await client.head("/y")).status_code == 404
    assert (head.status_code, head.headers) == (got.status_code, got.headers)
    assert (head.content, got.content) == (b"", b'{"a":1}')


async def test_what_is_no_request_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    await Head(app)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
