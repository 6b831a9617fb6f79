"""Endpoints that have just failed an attempt, and that nobody has looked at since. Pure.

Envoy's `override_host` tries a named endpoint however sick it is, so one that has failed is not named again
until somebody has seen it well. That is a moment at the usual pace of looks. Whoever fails more often is
the watchdog's; this here is for the time until it knows.
"""

from collections.abc import Collection, Sequence

from engines.watch.messages import Look
from extproc.routing.candidate import Candidate

SUSPECT_S = 2.0
"""How long at most, where looks are rare or do not come: one failure alone proves little."""
ALIVE = frozenset({"", "unreadable"})
"""Faults of a look that say nothing against serving."""


class Suspects:
    """Of all endpoints, in whatever pools."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}

    def failed(self, endpoint: str, now_s: float) -> None:
        """Envoy could not get an answer from it just now."""
        self._since_s[endpoint] = now_s

    def look(self, look: Look) -> None:
        """Trust one again that was seen well since."""
        since_s = self._since_s.get(look.endpoint)
        if since_s is not None and look.fault in ALIVE and look.at_s >= since_s:
            del self._since_s[look.endpoint]

    def keep(self, candidates: Sequence[Candidate], now_s: float) -> Sequence[Candidate]:
        """Leave them out, unless that leaves nobody. What is given comes back while there are none."""
        since_s = self._since_s
        if not since_s:
            return candidates
        before_s = now_s - SUSPECT_S
        kept = [each for each in candidates if since_s.get(each.endpoint, before_s) <= before_s]
        return kept or candidates

    def of(self, now_s: float) -> frozenset[str]:
        """Name them."""
        since = self._since_s.items()
        return frozenset(endpoint for endpoint, at_s in since if at_s > now_s - SUSPECT_S)

    def keep_only(self, endpoints: Collection[str]) -> None:
        """Forget all others."""
        self._forget(self._since_s.keys() - set(endpoints))

    def expire(self, now_s: float) -> None:
        """Forget those whose time is over."""
        self._forget([e for e, at_s in self._since_s.items() if at_s <= now_s - SUSPECT_S])

    def _forget(self, endpoints: Collection[str]) -> None:
        for endpoint in endpoints:
            del self._since_s[endpoint]
