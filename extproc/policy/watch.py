"""Reload: notice that the policy's files changed, and swap when what they say can be served."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from extproc.errors import PolicyError
from extproc.policy.load import load, read_all, version_of
from extproc.policy.models import Policy
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

POLL_INTERVAL_S = 0.5
"""Reading a few small files twice a second costs nothing measurable, and unlike inotify it works
for ConfigMaps, whose files are links that Kubernetes swaps."""


async def watch(
    directories: Sequence[Path],
    version: str,
    swap: Callable[[Policy], None],
    reject: Callable[[], None] = lambda: None,
) -> None:
    """Call `swap` with every new policy that loads; run for ever. `version` is the one in force.

    One that does not load changes nothing: `reject` is called, and all its mistakes are logged,
    once. `swap` may raise PolicyError too.
    """
    seen = version
    complaint = ""
    while True:
        await asyncio.sleep(POLL_INTERVAL_S)
        try:
            current = version_of(read_all(directories))
            if current == seen:
                continue
            seen = current
            swap(load(directories))
            log.info(Event.POLICY_LOADED, policy=current)
            complaint = ""
        except PolicyError as exc:
            if str(exc) != complaint:  # a directory that is gone fails at every look
                log.error(Event.POLICY_REJECTED, error=str(exc))
                reject()
            complaint = str(exc)
