"""Reload: notice that the policy's files changed, and swap when what they say can be served."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from extproc.errors import PolicyError
from extproc.policy.load import load, read_all, version_of
from extproc.policy.models import Policy

log = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.5
"""Reading a few small files twice a second costs nothing measurable, and unlike inotify it works
for ConfigMaps, whose files are links that Kubernetes swaps."""


async def watch(directories: Sequence[Path], version: str, swap: Callable[[Policy], None]) -> None:
    """Call `swap` with every new policy that loads; run for ever. `version` is the one in force.

    One that does not load changes nothing: it is logged once, with all its mistakes.
    """
    seen = version
    while True:
        await asyncio.sleep(POLL_INTERVAL_S)
        try:
            current = version_of(read_all(directories))
            if current == seen:
                continue
            seen = current
            swap(load(directories))
            log.info("policy_loaded", extra={"policy": current})
        except PolicyError as exc:
            log.error("policy_rejected", extra={"error": str(exc)})  # noqa: TRY400 - the operator's mistake, no trace of ours
