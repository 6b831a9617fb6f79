"""What the settle process does beside settling, again and again: roots, retention, exports.

A duty runs in a thread of its own turn, with its own connection, and never two turns of one duty at
once. One that fails is logged, counted and tried again at its next turn; settling goes on.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

_log = EventLog(__name__)


class Duty(Protocol):
    """Something to do from time to time."""

    @property
    def name(self) -> str:
        """One word, for logs and metrics."""
        ...

    @property
    def every_s(self) -> float:
        """Pause between two turns; the first turn comes at once."""
        ...

    @property
    def at_stop(self) -> bool:
        """Whether a last turn is due when the process stops, after everything is settled."""
        ...

    def run(self) -> None:
        """Do it, in a worker thread. May raise anything; then it failed."""
        ...


async def attend(duties: Iterable[Duty], stop: asyncio.Event, metrics: SettleMetrics) -> None:
    """Run every duty at its pace until `stop`. A turn under way is finished first."""
    async with asyncio.TaskGroup() as tasks:
        for duty in duties:
            tasks.create_task(_attend(duty, stop, metrics))


async def conclude(duties: Iterable[Duty], metrics: SettleMetrics) -> None:
    """Run those that are due at the stop, one after the other."""
    for duty in duties:
        if duty.at_stop:
            await turn(duty, metrics)


async def turn(duty: Duty, metrics: SettleMetrics) -> bool:
    """Run a duty once; False when it failed."""
    try:
        await asyncio.to_thread(duty.run)
    except Exception as fault:  # noqa: BLE001 - nothing that a duty does may end the settle process
        metrics.duty_faults.add(duty.name)
        _log.error(Event.DUTY_FAULT, fault, duty=duty.name)
        return False
    return True


async def _attend(duty: Duty, stop: asyncio.Event, metrics: SettleMetrics) -> None:
    while not stop.is_set():
        await turn(duty, metrics)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), duty.every_s)
