"""Harm to the disk that the ledger lies on, and by default also the journal and the access log."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from faults.cases.case import until, until_gateway_ready, until_replaced
from faults.cases.database import count_faults
from faults.place import Site
from faults.volume import Ballast

FULL_S = 5.0
"""How long the disk stays full, once the settle process has noticed."""
NOTICED_S = 60.0
REFILL_S = 0.1


async def fill(site: Site) -> None:
    async with full(site):
        await asyncio.sleep(FULL_S)


async def fill_and_kill(site: Site) -> None:
    """Who is started again now finds not a byte."""
    async with full(site):
        workers, settling = site.stand.worker_pids(), site.stand.settle_pids()
        for pid in (workers[0], *settling):
            os.kill(pid, signal.SIGKILL)
        await until_replaced(site.stand.settle_pids, settling, "a new settle process")
        await asyncio.sleep(FULL_S)
    await until_gateway_ready(site)


@asynccontextmanager
async def full(site: Site) -> AsyncGenerator[None]:
    """Take all room until the settle process has said that it cannot write, and all within."""
    ballast = Ballast(site.volume)
    before = await asyncio.to_thread(count_faults, site)

    async def noticed() -> bool:
        return await asyncio.to_thread(count_faults, site) > before

    try:
        async with asyncio.TaskGroup() as tasks:
            filling = tasks.create_task(keep_full(ballast))
            await until(noticed, "the settle process to notice", NOTICED_S)
            yield
            filling.cancel()
    finally:
        ballast.throw_out()


async def keep_full(ballast: Ballast) -> None:
    """Again and again: whoever gives room back must not get it back."""
    while True:
        ballast.fill()
        await asyncio.sleep(REFILL_S)
