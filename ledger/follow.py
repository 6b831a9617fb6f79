"""The pace of the settle process: one batch after the other, a pause, a retry, and the end."""

import asyncio
import math
from contextlib import suppress

from ledger.settle import Pace, Settler
from telemetry.logs import Event, EventLog

POLL_S = 0.05
"""Pause after a batch that caught up: rows follow their end by at most this, Envoy's flush of
10 ms and one commit; an idle process costs about 1 % of a core."""

RETRY_S = (0.1, 2.0)
"""First and longest pause before a failed commit is tried again; it doubles in between. Short
enough that a lock of ten seconds is over within the lag people see anyway."""

_log = EventLog(__name__)


async def follow(settler: Settler, stop: asyncio.Event, drain_s: float) -> bool:
    """Settle until `stop`, then whatever is left in the files; True when that was all of it."""
    loop = asyncio.get_running_loop()
    deadline_s = math.inf
    retry_s = 0.0
    while True:
        draining = stop.is_set()
        if draining and deadline_s == math.inf:
            deadline_s = loop.time() + drain_s
        pace = await asyncio.to_thread(settler.step)
        if pace is Pace.BLOCKED:
            retry_s = min(max(retry_s * 2, RETRY_S[0]), RETRY_S[1])
        elif retry_s:
            retry_s = 0.0
            _log.info(Event.LEDGER_BACK)
        if draining and (pace is Pace.CAUGHT_UP or loop.time() >= deadline_s):
            return pace is Pace.CAUGHT_UP
        pause_s = {Pace.MORE: 0.0, Pace.CAUGHT_UP: POLL_S, Pace.BLOCKED: retry_s}[pace]
        await _pause(stop, RETRY_S[0] if draining and pause_s else pause_s)


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    """Wait, but not beyond `stop` (while draining, it is set already: wait all of it)."""
    if stop.is_set():
        await asyncio.sleep(pause_s)
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), pause_s)
