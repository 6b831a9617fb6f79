"""Which endpoints answer, as far as looks and failed attempts tell. Pure.

Envoy's `override_host` tries a named endpoint however sick it is, so a sick one must not be named. An
endpoint nobody has looked at yet counts as well: at start, and for one just added, a retry is better than a
refusal. Doubt never empties a pool: when all that is left is suspect or silent, it is named all the
same, and only endpoints that refuse connections are not.
"""

from collections.abc import Collection, Iterable, Sequence

from engines.watch.messages import Look
from extproc.routing.candidate import Candidate

FAILURES = 2
"""Looks in a row that must fail. vLLM answers from the event loop that serves its API, so a long prompt can
delay it; a refused connection needs no second opinion."""
SUSPECT_S = 2.0
"""How long one failed attempt keeps an endpoint from being named: until after the next look."""
ALIVE = frozenset({"", "unreadable"})
"""Faults of a look that say nothing against serving."""


class Standing:
    """Of all endpoints, in whatever pools."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}
        self._refusing: set[str] = set()
        self._suspect_until_s: dict[str, float] = {}

    def look(self, look: Look) -> bool:
        """Learn from a look; whether it changes who is well."""
        endpoint = look.endpoint
        was = self.is_well(endpoint), endpoint in self._refusing
        if look.fault in ALIVE:
            self._failed.pop(endpoint, None)
        else:
            self._failed[endpoint] = self._failed.get(endpoint, 0) + 1
        (self._refusing.add if look.fault == "refused" else self._refusing.discard)(endpoint)
        return was != (self.is_well(endpoint), endpoint in self._refusing)

    def suspect(self, endpoint: str, now_s: float) -> None:
        """Envoy could not get an answer from it just now."""
        self._suspect_until_s[endpoint] = now_s + SUSPECT_S

    def is_well(self, endpoint: str) -> bool:
        return endpoint not in self._refusing and self._failed.get(endpoint, 0) < FAILURES

    def doubts(self, endpoints: Collection[str]) -> bool:
        """Whether time alone may change what `keep` says of these."""
        return any(endpoint in endpoints for endpoint in self._suspect_until_s)

    def keep(self, candidates: Sequence[Candidate], now_s: float) -> list[Candidate]:
        """Name those that may be sent something, in the same order; perhaps none."""
        well = [each for each in candidates if self.is_well(each.endpoint)]
        until_s = self._suspect_until_s
        trusted = [each for each in well if until_s.get(each.endpoint, now_s) <= now_s]
        return trusted or well or [e for e in candidates if e.endpoint not in self._refusing]

    def keep_only(self, endpoints: Collection[str]) -> None:
        """Forget all others."""
        self._refusing.intersection_update(endpoints)
        for gone in self._failed.keys() - set(endpoints):
            del self._failed[gone]

    def expire(self, now_s: float) -> None:
        """Forget suspicions that are over."""
        over = [e for e, until_s in self._suspect_until_s.items() if until_s <= now_s]
        self._forget(over)

    def _forget(self, endpoints: Iterable[str]) -> None:
        for endpoint in endpoints:
            del self._suspect_until_s[endpoint]
