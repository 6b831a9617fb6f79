"""No harm: what the others are compared with."""

import asyncio

from faults.place import Site

WAIT_S = 2.0


async def harm(_: Site) -> None:
    await asyncio.sleep(WAIT_S)
