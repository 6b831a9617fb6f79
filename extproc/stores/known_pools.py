"""The pools that the Envoy before us knows, as `headgate up` writes them down: a JSON list of names.

A worker that chose a pool sooner than Envoy has it would have its requests refused. Where nobody writes the file,
pools are Envoy's own business, and nobody waits.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import msgspec

from extproc.policy.models import Policy
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

MOST_S = 15.0
"""How long a policy is held back: longer than Envoy takes to ask a new pool's endpoints for their health."""
LOOK_S = 0.05


class KnownPools:
    """Holds a policy back until Envoy has its pools."""

    def __init__(
        self, path: Path, most_s: float = MOST_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._path = path
        self._most_s = most_s
        self._clock = clock

    async def wait(self, policy: Policy) -> None:
        """Return when they are there; after `most_s` all the same, for a policy is more than its pools."""
        wanted = {pool.name for pool in policy.pools}
        until_s = self._clock() + self._most_s
        while missing := wanted - (read(self._path) or wanted):
            if self._clock() >= until_s:
                log.warning(Event.POOLS_LATE, pools=sorted(missing))
                return
            await asyncio.sleep(LOOK_S)


def read(path: Path) -> frozenset[str]:
    """Read the names; none when the file is not there, or is no such list."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=frozenset[str])
    except (OSError, msgspec.MsgspecError):
        return frozenset()
