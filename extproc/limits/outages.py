"""Tells of outages of the counters: that one has begun, and which budgets have passed a level when all
of it is settled at last. Nobody waits for that any more, so its tenant is in its scope or nowhere."""

import time
from collections.abc import Callable, Sequence

from alerts.alert import Alert
from extproc.errors import CountersFaultError
from extproc.limits.base import Settled, Settlement
from extproc.limits.notice import notice, outage
from extproc.limits.reach import Reach


class Outages:
    """What `fall_back` tells, made into alerts."""

    def __init__(
        self, alert: Callable[[Alert], object], clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` tells seconds since the epoch."""
        self._alert = alert
        self._clock = clock
        self._reaches: dict[str, Reach] = {}

    def know(self, reaches: Sequence[Reach]) -> None:
        """Say what limits there are, and so whose a scope is."""
        self._reaches = {reach.limit.name: reach for reach in reaches}

    def begin(self, fault: CountersFaultError) -> None:
        self._alert(outage(str(fault), round(self._clock() * 1000)))

    def end(self, late: Settlement) -> None:
        """Hear of one settlement: once for each that had to wait."""
        now_ms = round(self._clock() * 1000)
        for settled in late.limits:
            for level in settled.crossed:
                self._alert(notice(settled, level, self._tenant(settled), now_ms))

    def _tenant(self, settled: Settled) -> str:
        """Empty for what tenants share, and for a limit that the policy has no more."""
        reach = self._reaches.get(settled.name)
        return reach.tenant(settled.scope) if reach else ""
