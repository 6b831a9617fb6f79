"""Requests under way, as their workers tell: each from its pick to its end. Pure.

Both sides keep it: the watch process, to tell a worker that comes later, and each worker, for its own
counts. Any order of what several workers say gives the same sums in the end: a pick counts once, an end
that overtakes its pick is remembered for a while, and what nobody has mentioned for long is forgotten.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from msgspec import structs

from engines.watch.messages import Picked

LEASE_S = 35.0
"""A request that runs is mentioned every 10 s (Envoy's periodic log entry); three may be lost."""
OVERTAKEN_S = 5.0
"""How long an end is remembered whose pick is still to come: both pass through one process, at most a
turn of its loop apart, so this is ample."""


@dataclass(slots=True)
class Flight:
    """One request under way."""

    picked: Picked
    tokens: int
    """To be computed: of the prompt, what is not expected to be cached."""
    until_s: float
    """When it is forgotten."""


@dataclass(slots=True)
class Tally:
    """What is under way to one endpoint, in whatever pool."""

    in_flight: int = 0
    in_flight_tokens: int = 0
    unseen_tokens: int = 0
    looked_s: float = 0.0
    """When it was last looked at."""
    unseen: dict[str, Flight] = field(default_factory=dict[str, Flight])
    """Those that were picked after that."""


class Flights:
    """All requests under way. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._tallies: dict[str, Tally] = {}
        self._ended: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Picked]:
        return iter([flight.picked for flight in self._flights.values()])

    def tally(self, endpoint: str) -> Tally:
        """Look up, or begin, the sums of one endpoint."""
        found = self._tallies.get(endpoint)
        if found is None:
            found = self._tallies[endpoint] = Tally()
        return found

    def pick(self, picked: Picked, now_s: float) -> bool:
        """Count on it; False when it is known already, or has ended."""
        key = picked.key
        if key in self._flights or key in self._ended:
            return False
        if picked.blocks:  # up to 16 kB, and nobody counts them
            picked = structs.replace(picked, blocks=())
        tokens = max(0, picked.prompt_tokens - picked.cached_tokens)
        flight = self._flights[key] = Flight(picked, tokens, now_s + LEASE_S)
        tally = self.tally(picked.endpoint)
        tally.in_flight += 1
        tally.in_flight_tokens += tokens
        if picked.at_s > tally.looked_s:
            tally.unseen[key] = flight
            tally.unseen_tokens += tokens
        return True

    def has_ended(self, key: str) -> bool:
        """Whether its end was told of in the last seconds, perhaps before its pick."""
        return key in self._ended

    def end(self, key: str, now_s: float) -> str:
        """Count on it no longer; return its endpoint, or nothing when it was not known."""
        self._ended[key] = now_s + OVERTAKEN_S
        flight = self._flights.pop(key, None)
        if flight is None:
            return ""
        self._leave(key, flight)
        return flight.picked.endpoint

    def renew(self, key: str, now_s: float) -> None:
        if flight := self._flights.get(key):
            flight.until_s = now_s + LEASE_S

    def look(self, endpoint: str, at_s: float) -> None:
        """An endpoint was asked at that time: it knows of all that was picked before."""
        tally = self.tally(endpoint)
        if at_s <= tally.looked_s:
            return
        tally.looked_s = at_s
        seen = [key for key, flight in tally.unseen.items() if flight.picked.at_s <= at_s]
        for key in seen:
            tally.unseen_tokens -= tally.unseen.pop(key).tokens

    def expire(self, now_s: float) -> Collection[str]:
        """Forget what nobody has mentioned for long; return its endpoints. Once a second is enough."""
        late = [key for key, flight in self._flights.items() if flight.until_s <= now_s]
        touched = set[str]()
        for key in late:
            flight = self._flights.pop(key)
            self._leave(key, flight)
            touched.add(flight.picked.endpoint)
        for key in [key for key, until_s in self._ended.items() if until_s <= now_s]:
            del self._ended[key]
        return touched

    def forget(self, endpoint: str) -> None:
        """An endpoint is gone: keep no sums of it, unless something is still under way there."""
        if (tally := self._tallies.get(endpoint)) is not None and not tally.in_flight:
            del self._tallies[endpoint]

    def _leave(self, key: str, flight: Flight) -> None:
        tally = self._tallies[flight.picked.endpoint]
        tally.in_flight -= 1
        tally.in_flight_tokens -= flight.tokens
        if tally.unseen.pop(key, None) is not None:
            tally.unseen_tokens -= flight.tokens
