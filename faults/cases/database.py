"""Harm to where the ledger lies."""

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing

import psycopg

from faults.cases.case import CaseError, until
from faults.place import Site
from faults.server import CRASH, RESTART
from faults.volume import Ballast

LOCKED_S = 10.0
FULL_S = 5.0
"""How long the disk stays full, once the settle process has noticed."""
NOTICED_S = 60.0
BACK_S = 2.5
"""The settle process waits up to 2 s between two attempts: by then it is connected again."""
TAKE_S = 20.0
"""Longest wait for a lock of our own."""
FAULTS = re.compile(r"^headgate_ledger_faults_total (\S+)", re.MULTILINE)


async def lock_file(site: Site) -> None:
    """What a backup tool does that knows no better."""
    with closing(sqlite3.connect(site.ledger, timeout=TAKE_S, isolation_level=None)) as other:
        async with biting(site):
            other.execute("BEGIN EXCLUSIVE")
            await asyncio.sleep(LOCKED_S)
        other.execute("ROLLBACK")


async def lock_tables(site: Site) -> None:
    """What a schema change does that waits for a person."""
    async with await psycopg.AsyncConnection.connect(site.ledger) as other:
        async with biting(site):
            await other.execute("LOCK TABLE entry IN EXCLUSIVE MODE")
            await asyncio.sleep(LOCKED_S)
        await other.rollback()


async def restart_server(site: Site) -> None:
    """Once as a crash, once as an operator does it."""
    async with biting(site):
        for how in (CRASH, RESTART):
            await asyncio.to_thread(site.server.restart, how)
            await asyncio.sleep(BACK_S)


async def fill_volume(site: Site) -> None:
    """Take all room until the settle process has said that it cannot write, and a while longer."""
    ballast = Ballast(site.volume)
    before = await asyncio.to_thread(count_faults, site)

    async def noticed() -> bool:
        ballast.fill()  # again and again: whoever gives room back must not get it back
        return await asyncio.to_thread(count_faults, site) > before

    try:
        await until(noticed, "the settle process to notice", NOTICED_S)
        until_s = time.monotonic() + FULL_S
        while time.monotonic() < until_s:
            ballast.fill()
            await asyncio.sleep(0.1)
    finally:
        ballast.throw_out()


@asynccontextmanager
async def biting(site: Site) -> AsyncGenerator[None]:
    """Make sure that the settle process has felt what is done within. Raises: CaseError."""
    before = await asyncio.to_thread(count_faults, site)
    yield
    if await asyncio.to_thread(count_faults, site) == before:
        raise CaseError("the settle process has not noticed anything")


def count_faults(site: Site) -> float:
    """How many times the ledger took nothing. Raises: CaseError."""
    found = FAULTS.search(site.stand.metrics())
    if found is None:
        raise CaseError("the settle process does not say how often its ledger failed")
    return float(found[1])
