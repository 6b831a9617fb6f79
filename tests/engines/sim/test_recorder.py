"""What an engine writes down of its requests."""

import asyncio
import io
import json

from aiohttp.test_utils import TestClient, TestServer

from engines.sim.app import Service
from engines.sim.engine import Settings, SimEngine
from engines.sim.recorder import recording


async def test_all_that_is_posted_is_written_and_answered_as_ever():
    file = io.BytesIO()
    engine = SimEngine(Settings(ttft_ms=0, itl_ms=0))
    app = Service(engine, body_bytes_max=2000, record=recording(file)).app()
    async with TestClient(TestServer(app)) as client:
        ask = {"prompt": "好", "max_tokens": 2}
        headers = {"X-Prefiller-Host-Port": "127.0.0.1:1"}
        answer = await client.post("/v1/completions?a=1", json=ask, headers=headers)
        assert (await answer.json())["usage"]["completion_tokens"] == 2
        answer = await client.post(
            "/v1/completions", data=b"\xff{", headers={"content-type": "a/b"}
        )
        assert answer.status == 400
        assert (await client.get("/v1/models")).status == 200
        assert (await client.post("/v1/completions", data=b"x" * 3000)).status == 413
    first, second = map(json.loads, file.getvalue().splitlines())
    assert (first["path"], json.loads(first["body"])) == ("/v1/completions?a=1", ask)
    assert first["headers"]["x-prefiller-host-port"] == "127.0.0.1:1"
    assert second["body"] == "\ufffd{"


async def test_headers_that_are_no_utf_8():
    file = io.BytesIO()
    app = Service(SimEngine(Settings()), record=recording(file)).app()
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(
            b"POST /v1/completions HTTP/1.0\r\nX-Odd: caf\xe9\r\nContent-Length: 0\r\n\r\n"
        )
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()
    assert json.loads(file.getvalue())["headers"]["x-odd"] == "caf\ufffd"
