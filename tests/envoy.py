"""A real Envoy for tests: start it with a bootstrap, wait until it listens, stop it without a trace."""

import asyncio
import json
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).resolve().parents[1]
BINARY = ROOT / ".tools" / "bin" / "envoy"

START_S = 60.0
"""Hang guard: a start takes about 0.3 s."""
STOP_S = 5.0


class Envoy:
    """`async with Envoy(bootstrap, admin_socket=..., log=...) as envoy:` and `envoy.url` answers.

    The flags are those that `headgate up` uses, but for one worker thread, which makes tests repeatable.
    Raises RuntimeError with the end of Envoy's log when it does not come up.
    """

    def __init__(self, bootstrap: Path, *, admin_socket: Path, log: Path, threads: int = 1) -> None:
        self.bootstrap = bootstrap
        self.admin_socket = admin_socket
        self.log = log
        self.threads = threads
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        # The child inherits the descriptor and keeps it.
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                BINARY,
                *("--config-path", str(self.bootstrap)),
                *("--concurrency", str(self.threads)),
                "--disable-hot-restart",  # else two Envoys on one machine fight over shared memory
                *("--file-flush-interval-msec", "100"),
                *("--log-level", "warning"),
                stdout=log,
                stderr=log,
            )
        try:
            async with asyncio.timeout(START_S):
                await self.wait_until_live()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
        await self.process.wait()

    async def wait_until_live(self) -> None:
        while True:
            if self.process.returncode is not None:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Envoy ended with {self.process.returncode}:\n{tail}")
            if self.admin_socket.exists():
                try:
                    if (await self.admin("/ready")).strip() == "LIVE":
                        break
                except httpx.TransportError:
                    pass
            await asyncio.sleep(0.02)
        listeners = json.loads(await self.admin("/listeners?format=json"))["listener_statuses"]
        self.port = listeners[0]["local_address"]["socket_address"]["port_value"]

    async def admin(self, path: str) -> str:
        transport = httpx.AsyncHTTPTransport(uds=str(self.admin_socket))
        client = httpx.AsyncClient(transport=transport, base_url="http://envoy", timeout=START_S)
        async with client:
            return (await client.get(path)).text

    async def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose name matches the regular expression."""
        answer = json.loads(await self.admin(f"/stats?format=json&filter={pattern}"))["stats"]
        return {stat["name"]: stat["value"] for stat in answer if "name" in stat}
