"""Questions take turns: some at once, few of them one tenant's, and none waits for long."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sidecars.common.errors import Code, Refusal

T = TypeVar("T")

AT_ONCE = 4
"""Threads that ask the ledger. SQLite reads in parallel; more would only slow each other down."""
AT_ONCE_EACH = 2
"""Of them for one tenant: half is left to the others."""
WAIT_S = 5.0
"""Longest wait for a turn. With the deadline of a question it stays below Envoy's timeout."""


class Turns:
    def __init__(
        self, at_once: int = AT_ONCE, at_once_each: int = AT_ONCE_EACH, wait_s: float = WAIT_S
    ) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._at_once_each = at_once_each
        self._wait_s = wait_s
        self._own: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def take(self, tenant: str, ask: Callable[[], T]) -> T:
        """Let `ask` run in a thread when it is its turn. Raises: Refusal, and what `ask` raises."""
        async with self._own_turn(tenant) as own:
            try:
                async with asyncio.timeout(self._wait_s):
                    await own.acquire()
                    try:
                        await self._free.acquire()
                    except BaseException:
                        own.release()
                        raise
            except TimeoutError:
                message = "Too many questions at once. Please try again."
                raise Refusal(Code.BUSY, message, retry_after_s=1) from None
            try:
                return await asyncio.to_thread(ask)
            finally:
                self._free.release()
                own.release()

    @asynccontextmanager
    async def _own_turn(self, tenant: str) -> AsyncGenerator[asyncio.Semaphore]:
        """Keep a tenant's semaphore for as long as anybody uses it."""
        semaphore, users = self._own.get(tenant, (asyncio.Semaphore(self._at_once_each), 0))
        self._own[tenant] = semaphore, users + 1
        try:
            yield semaphore
        finally:
            _, users = self._own[tenant]
            if users > 1:
                self._own[tenant] = semaphore, users - 1
            else:
                del self._own[tenant]
