"""Harm to the settle process, and to the log it reads."""

import asyncio
import os
import signal
from functools import partial

from extproc.cli.admin import reopen_logs
from extproc.cli.rotate import AccessLog
from faults.cases.case import CaseError, until_replaced
from faults.place import Site
from ledger.finished import finished

STRIKES = 6
PAUSE_S = 0.7
"""Between two strikes: long enough for the next process to be in the middle of its work."""
STOPPED_S = 8.0


async def kill(site: Site) -> None:
    """Again and again, most of the time in the middle of a batch."""
    for _ in range(STRIKES):
        pids = site.stand.settle_pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await until_replaced(site.stand.settle_pids, pids, "a new settle process")
        await asyncio.sleep(PAUSE_S)


async def stop_and_go(site: Site) -> None:
    """SIGSTOP: it holds its lock and does nothing, as on a machine that swaps."""
    (pid,) = site.stand.settle_pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_S)
    finally:
        os.kill(pid, signal.SIGCONT)


async def rotate_log(site: Site) -> None:
    """Rename it and let Envoy open the next, as `headgate up` does when it is full."""
    layout = site.stand.layout
    reopen = partial(reopen_logs, layout.admin_socket)
    log = AccessLog(layout.access_log, reopen, partial(finished, site.ledger))
    for _ in range(STRIKES):
        if not await log.rotate(1):
            raise CaseError("there was no access log to rotate")
        await asyncio.sleep(PAUSE_S)
