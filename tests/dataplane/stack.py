"""A whole data plane for tests: Envoy with the rendered bootstrap between a scripted worker and two scripted engines."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from dataplane.gateway import Files, Gateway, Pool, Timeouts
from dataplane.render import endpoints, render, secret, write
from tests.dataplane.engine import Engine
from tests.dataplane.worker import Worker
from tests.envoy import Envoy

GUARD_S = 30.0
PATIENT = {"timeouts": Timeouts(decision_ms=30_000), "periodic_log_s": 600}
"""Settings of which no test speaks: a machine that stands still for some seconds changes nothing."""

TOLERANT = ("unhealthy_threshold: 2", "unhealthy_threshold: 100")
"""Of both clusters of workers, which are in this process and answer no health check while it stands still."""


async def until(check: Callable[[], Awaitable[object]]) -> None:
    """Waits until `check()` says something true."""
    async with asyncio.timeout(GUARD_S):
        while True:
            if await check():
                return
            await asyncio.sleep(0.01)


def order(**what: object) -> dict[str, str]:
    """The header that tells the worker what to decide (see worker.py)."""
    return {"x-test": json.dumps({"pool": "tiny"} | what)}


@dataclass
class Stack:
    state: Path
    gateway: Gateway
    envoy: Envoy
    workers: tuple[Worker, ...]
    engines: tuple[Engine, Engine]
    client: httpx.AsyncClient

    @property
    def worker(self) -> Worker:
        return self.workers[0]

    async def post(self, headers: dict[str, str], content: bytes = b"{}") -> httpx.Response:
        return await self.client.post("/v1/chat/completions", headers=headers, content=content)

    async def raw(self, data: bytes) -> bytes:
        """What Envoy answers to these bytes, up to the end of the connection or of an answer with a length."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.envoy.port)
        try:
            writer.write(data)
            async with asyncio.timeout(GUARD_S):
                head = await reader.readuntil(b"\r\n\r\n")
                length = httpx.Headers(
                    [line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2]]
                ).get("content-length")
                body = await (reader.readexactly(int(length)) if length else reader.read())
            return head + body
        finally:
            writer.close()

    def log_so_far(self, request_id: str) -> list[dict[str, object]]:
        """The JSON log's entries of one request."""
        whole, _, _ = self.gateway.files.access_log.read_text().rpartition("\n")
        entries = [json.loads(line) for line in whole.splitlines()]
        return [entry for entry in entries if entry["request_id"] == request_id]

    async def log_entries(self, request_id: str) -> list[dict[str, object]]:
        """The same, once it has ended."""

        async def has_ended() -> bool:
            return any(e["type"] == "DownstreamEnd" for e in self.log_so_far(request_id))

        await until(has_ended)
        return self.log_so_far(request_id)


@asynccontextmanager
async def run_stack(
    *,
    workers: int = 1,
    more: tuple[Pool, ...] = (),
    keys: Mapping[str, str] = MappingProxyType({}),
    silence_s: float = 600,
    **settings: object,
) -> AsyncIterator[Stack]:
    """`settings` are those of Gateway, `more` pools besides, `keys` those of their upstreams, `silence_s` that of the
    pool `tiny`."""
    # Not pytest's tmp_path: unix socket paths must be short.
    state = Path(tempfile.mkdtemp(prefix="hg-"))
    for folder in ("run", "log", "envoy/endpoints", "envoy/secrets"):
        (state / folder).mkdir(parents=True)
    try:
        async with AsyncExitStack() as opened:
            running = [
                await opened.enter_async_context(Worker(state / "run" / f"worker-{i}.sock"))
                for i in range(workers)
            ]
            first = await opened.enter_async_context(Engine())
            second = await opened.enter_async_context(Engine())
            gateway = Gateway(
                port=0,
                files=Files.under(state),
                worker_sockets=tuple(worker.socket for worker in running),
                pools=(
                    Pool(
                        "tiny",
                        (first.endpoint, second.endpoint),
                        {first.endpoint: {"gpu": "L4", "gpus": 2}},
                        silence_s=silence_s,
                    ),
                    Pool("empty", ()),
                    *more,
                ),
                **(PATIENT | settings),
            )
            bootstrap = state / "envoy" / "bootstrap.yaml"
            write(render(gateway).replace(*TOLERANT, 2), bootstrap)
            for pool in gateway.pools:
                write(endpoints(pool), gateway.endpoints_file(pool))
                if pool.name in keys:
                    write(secret(pool, keys[pool.name]), gateway.secret_file(pool), 0o600)
            envoy = await opened.enter_async_context(
                Envoy(
                    bootstrap,
                    admin_socket=gateway.files.admin_socket,
                    log=state / "log" / "envoy.log",
                )
            )
            client = await opened.enter_async_context(
                httpx.AsyncClient(base_url=envoy.url, timeout=GUARD_S)
            )
            yield Stack(state, gateway, envoy, tuple(running), (first, second), client)
    finally:
        shutil.rmtree(state)
