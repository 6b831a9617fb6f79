"""Envoy's admin interface, over its unix socket."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from dataplane.errors import ConfigError

TIMEOUT_S = 1.0
ACTIVE_REQUESTS = "http.clients.downstream_rq_active"
TAKEN_S = 10.0
"""Envoy may be busy with something else. A new pool is ready when its endpoints were asked for their health once, which
may take 2 s each."""
LOOK_S = 0.02
HEALTHY_WORKERS = "cluster.workers.membership_healthy"


@asynccontextmanager
async def admin_session(
    socket: Path, timeout_s: float = TIMEOUT_S
) -> AsyncGenerator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(path=str(socket))
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession("http://envoy", connector=connector, timeout=timeout) as admin:
        yield admin


async def read_stat(admin: aiohttp.ClientSession, name: str) -> int:
    """Read one number; 0 while Envoy does not have it yet."""
    async with admin.get("/stats", params={"filter": f"^{name}$"}) as answer:
        return int((await answer.text()).rpartition(":")[2].strip() or 0)


async def is_ready(socket: Path, workers: int) -> bool:
    """Whether Envoy listens and has found all workers healthy. Asks no client's question: a request
    of our own would stand in the ledger."""
    try:
        async with admin_session(socket) as admin:
            async with admin.get("/ready") as answer:
                live = answer.status == 200
            return live and await read_stat(admin, HEALTHY_WORKERS) == workers
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


async def reopen_logs(socket: Path) -> None:
    """Let Envoy open its log files anew, after they were renamed. Raises: OSError."""
    try:
        async with admin_session(socket, TAKEN_S) as admin:
            await admin.post("/reopen_logs")
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise OSError(f"Envoy does not reopen its logs: {exc}") from exc


async def drain(socket: Path, wait_s: float) -> None:
    """Stop taking connections, and wait for answers under way, `wait_s` at most."""
    if not socket.exists():
        return
    try:
        async with admin_session(socket) as admin, asyncio.timeout(wait_s):
            await admin.post("/drain_listeners")
            while await read_stat(admin, ACTIVE_REQUESTS):  # noqa: ASYNC110 - Envoy tells only when asked
                await asyncio.sleep(0.1)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return  # it is gone, or the time is over: Envoy is stopped next, either way


class Taken:
    """Changes files that Envoy follows, and waits until it has them."""

    def __init__(self, socket: Path, most_s: float = TAKEN_S) -> None:
        self._socket = socket
        self._most_s = most_s

    async def pools_after(self, write: Callable[[], None]) -> None:
        """Return when the pools written are ready to be used. Raises: ConfigError."""
        await self._after(write, "cluster_manager.cds")
        async with self._looking("a new pool does not become ready") as admin:
            while await read_stat(admin, "cluster_manager.warming_clusters"):  # noqa: ASYNC110 - Envoy tells only when asked
                await asyncio.sleep(LOOK_S)

    async def routes_after(self, write: Callable[[], None]) -> None:
        """Return when the routes written are in force. Raises: ConfigError."""
        await self._after(write, "http.clients.rds.pools")

    async def _after(self, write: Callable[[], None], what: str) -> None:
        good, bad = f"{what}.update_success", f"{what}.update_rejected"
        async with self._looking(f"Envoy does not follow its files ({what})") as admin:
            before, refused = await read_stat(admin, good), await read_stat(admin, bad)
            write()
            while await read_stat(admin, good) == before:
                if await read_stat(admin, bad) > refused:
                    raise ConfigError(f"Envoy refuses its new file ({what})")
                await asyncio.sleep(LOOK_S)

    @asynccontextmanager
    async def _looking(self, complaint: str) -> AsyncGenerator[aiohttp.ClientSession]:
        """Ask Envoy as often as it takes. One slow answer is no fault: all of them together have a limit.

        Raises: ConfigError, with the complaint."""
        try:
            async with (
                admin_session(self._socket, timeout_s=self._most_s) as admin,
                asyncio.timeout(self._most_s),
            ):
                yield admin
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise ConfigError(f"{complaint}: {fault!r}") from fault
