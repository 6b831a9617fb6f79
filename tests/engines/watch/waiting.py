"""Waiting for something that has no event to wait for."""

import asyncio

GUARD_S = 20


async def until(what, guard_s=GUARD_S):
    """Ask until the answer is true; return it. A guard against hanging, not a measurement."""
    async with asyncio.timeout(guard_s):
        while not (found := what()):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.005)
    return found
