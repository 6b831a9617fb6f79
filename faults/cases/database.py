"""Harm to the database that the ledger lies in."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing

import psycopg

from faults.cases.case import CaseError
from faults.place import Site
from faults.server import CRASH, RESTART

LOCKED_S = 10.0
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
