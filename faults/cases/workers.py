"""Harm to the ext_proc workers."""

import os
import signal

from faults.cases.case import until_gateway_ready, until_replaced
from faults.place import Site

STRIKES = 3


async def kill_one(site: Site) -> None:
    """One after the other, each when all are back: who kills the last one kills the gateway."""
    for strike in range(STRIKES):
        pids = site.stand.worker_pids()
        os.kill(pids[strike % len(pids)], signal.SIGKILL)
        await until_gateway_ready(site)


async def kill_all(site: Site) -> None:
    pids = site.stand.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await until_replaced(site.stand.worker_pids, pids, "new workers")
    await until_gateway_ready(site)


async def roll(site: Site) -> None:
    """SIGTERM, as a rolling restart does it: the next one when the first is back."""
    for pid in site.stand.worker_pids():
        os.kill(pid, signal.SIGTERM)
        await until_gateway_ready(site)
