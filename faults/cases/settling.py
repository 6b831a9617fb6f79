"""Harm to the settle process, and to the log it reads."""

import asyncio
import os
import signal
from functools import partial

from extproc.cli.admin import reopen_logs
from extproc.cli.rotate import AccessLog
from extproc.cli.up import answers
from faults.cases.case import CaseError, until, until_replaced
from faults.place import Site
from ledger.finished import finished

WORKS_S = (0.0, 0.1, 0.3, 0.7)
"""How long each settle process works before it is killed: while it catches up, and in even pace."""
KILLS, TURNS = len(WORKS_S), 6
PAUSE_S = 0.7
"""Between two turns: some thirty requests."""
STOPPED_S = 8.0


async def kill(site: Site) -> None:
    """Again and again, as soon as the next one works."""
    metrics = f"http://127.0.0.1:{site.stand.metrics_port}/metrics"
    for works_s in WORKS_S:
        await until(partial(answers, metrics), "the settle process")
        await asyncio.sleep(works_s)
        pids = site.stand.settle_pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await until_replaced(site.stand.settle_pids, pids, "a new settle process")


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
    for _ in range(TURNS):
        if not await log.rotate(1):
            raise CaseError("there was no access log to rotate")
        await asyncio.sleep(PAUSE_S)
