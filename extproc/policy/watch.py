"""Reload: notice that the policy's files changed, and swap when what they say can be served."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from extproc.errors import PolicyError
from extproc.policy.load import load_sources, read_all, version_of
from extproc.policy.models import Policy
from telemetry.logs import Event, EventLog

log = EventLog(__name__)

POLL_INTERVAL_S = 0.5
"""Reading a few small files twice a second costs nothing measurable, and unlike inotify it works
for ConfigMaps, whose files are links that Kubernetes swaps."""


class Watch:
    """Follows the directories. `version` is the one in force at first."""

    def __init__(
        self,
        directories: Sequence[Path],
        version: str,
        swap: Callable[[Policy], None],
        reject: Callable[[str], None] = lambda _said: None,
    ) -> None:
        """`swap` gets every new policy that loads, and may raise PolicyError; `reject` gets what
        is wrong with one that does not, once."""
        self._directories = directories
        self._seen = version
        self._complaint = ""
        self._swap = swap
        self._reject = reject

    async def run(self, interval_s: float = POLL_INTERVAL_S) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(interval_s)
            self.look()

    def look(self) -> None:
        """Look once. What does not load changes nothing."""
        try:
            sources = read_all(self._directories)
            current = version_of(sources)
            if current == self._seen:
                return
            self._seen = current
            self._swap(load_sources(sources))
        except PolicyError as exc:
            if str(exc) != self._complaint:  # a directory that is gone fails at every look
                log.error(Event.POLICY_REJECTED, error=str(exc))
                self._reject(str(exc))
            self._complaint = str(exc)
        else:
            log.info(Event.POLICY_LOADED, policy=current)
            self._complaint = ""
