"""What a case is, and what it finds when it is its turn."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from extproc.cli.admin import is_ready
from faults.excuse import NONE, Excuse
from faults.place import Place, Site

WORKERS = 2
HEAL_S = 30.0
"""Longest wait until what was harmed works again."""
PROBED_S = 1.5
"""Envoy asks each worker once a second how it is, so what it says is as old as that."""


class CaseError(Exception):
    """The harm could not be done, or was not mended in time."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fault."""

    name: str
    does: str
    """What is done, and for how long: a cell of the table."""
    sees: str
    """What clients may see of it: another one."""
    harm: Callable[[Site], Awaitable[None]]
    """Does it, and returns when all is well again. Raises: CaseError."""
    excuse: Excuse = NONE
    place: Place = Place.STATE


async def until(check: Callable[[], Awaitable[bool]], what: str, limit_s: float = HEAL_S) -> None:
    """Raises: CaseError when it does not come true in time."""
    deadline_s = time.monotonic() + limit_s
    while not await check():
        if time.monotonic() > deadline_s:
            raise CaseError(f"waited {limit_s:g} s for {what}")
        await asyncio.sleep(0.05)


async def until_gateway_ready(site: Site) -> None:
    """Wait until Envoy runs and has found all workers healthy, or found out that they are not."""
    await asyncio.sleep(PROBED_S)
    check = partial(is_ready, site.stand.layout.admin_socket, WORKERS)
    await until(check, "Envoy and its workers")


async def until_replaced(pids: Callable[[], list[int]], old: list[int], what: str) -> None:
    """Wait until there are as many processes as before, and none of the old ones."""

    async def replaced() -> bool:
        now = pids()
        return len(now) == len(old) and not set(now) & set(old)

    await until(replaced, what)
