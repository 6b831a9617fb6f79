"""The pools that the Envoy before us knows, as `headgate up` writes them down: JSON, by name where each leads, empty
for engines of ours.

A worker that chose a pool sooner than Envoy has it would have its requests refused. One that leads elsewhere than
the policy says would be sent what was made fit, and masked, for somebody else: for that no time is too long. Where
nobody writes the file, pools are Envoy's own business, and nobody waits.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic

import msgspec

from extproc.policy.catalog import PoolPolicy
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

    def has(self, policy: Policy) -> bool:
        """Tell whether all of them are there now."""
        return not self._missing(policy)

    def contradicts(self, policy: Policy) -> bool:
        """Tell whether one of them leads elsewhere. Those that are not named may still be there: what is gone from the
        policy goes last of all."""
        return any(self._missing(policy).values())

    async def agree(self, policy: Policy) -> None:
        """Return when none of them leads elsewhere."""
        if self.contradicts(policy):
            missing = self._missing(policy)
            log.warning(Event.POOLS_LATE, pools=sorted(name for name in missing if missing[name]))
        while self.contradicts(policy):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(LOOK_S)

    async def wait(self, policy: Policy) -> None:
        """Return when they are there. After `most_s` those that Envoy does not have at all are not waited for,
        for a policy is more than its pools."""
        until_s = self._clock() + self._most_s
        is_told = False
        while missing := self._missing(policy):
            if self._clock() >= until_s:
                if not is_told:
                    log.warning(Event.POOLS_LATE, pools=sorted(missing))
                is_told = True
                if not any(missing.values()):
                    return
            await asyncio.sleep(LOOK_S)

    def _missing(self, policy: Policy) -> Mapping[str, bool]:
        return missing_of({pool.name: place_of(pool) for pool in policy.pools}, read(self._path))


def missing_of(wanted: Mapping[str, str], known: Mapping[str, str] | None) -> Mapping[str, bool]:
    """Name what is wanted and not known so; True: it leads elsewhere."""
    if known is None:
        return {}
    return {name: name in known for name, place in wanted.items() if known.get(name) != place}


def place_of(pool: PoolPolicy) -> str:
    """Where it leads."""
    return str(pool.upstream.where()) if pool.upstream else ""


def read(path: Path) -> Mapping[str, str] | None:
    """Read them; None when the file is not there, or says something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
