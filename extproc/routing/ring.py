"""Consistent hashing with bounded loads: what several gateways agree on without a word.

Every endpoint stands at many places of a ring. A key belongs to the first endpoint at or after its
own place that has room; an endpoint has room while its load is not much above the mean. So the same
beginning of a prompt goes to the same endpoint, whoever decides; when endpoints come and go, only
their own keys move; and none is overrun by a popular one.

Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016. The defaults are
KubeAI's (`meanLoadFactor`, `replication`).
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from math import ceil

import xxhash

FACTOR = 1.25
"""How far above the mean an endpoint may be loaded. Smaller: more even, and fewer keys at home."""
PLACES = 256
"""Of each endpoint. Shares of the ring differ by about 1 / sqrt(PLACES): 6 %."""
PATIENCE = 1000
"""Choices among fewer than half of those on the ring, until the others are forgotten. While a pool that has
more than doubled warms up, each choice is among others: making their places anew would take 40 ms each time."""
MASK = (1 << 64) - 1


class Ring:
    """Remembers endpoints that are not candidates just now: they are stepped over, so that one that
    falls sick and recovers costs nothing. Twice as many as candidates for long, and they are forgotten."""

    def __init__(self, factor: float = FACTOR, places: int = PLACES) -> None:
        self.factor = factor
        self._places = places
        self._members: set[str] = set()
        self._points: list[int] = []
        self._owners: list[str] = []
        self._few = 0
        """How often in a row there were that few."""

    def keep(self, endpoints: Collection[str]) -> None:
        """Have all of these, of which none stands twice. 0.2 ms for each that is new."""
        self._few = self._few + 1 if len(self._members) > 2 * len(endpoints) else 0
        if self._few > PATIENCE:
            self._few = 0
            self._build(set(endpoints))
        elif not self._members.issuperset(endpoints):
            self._build(self._members.union(endpoints))

    def walk(self, key: int) -> Iterator[str]:
        """Go around from a key's place; each endpoint comes once, unless it left meanwhile."""
        seen: set[str] = set()
        owners, count = self._owners, len(self._members)
        start = bisect_left(self._points, key & MASK)
        for index in range(start, start + len(owners)):
            owner = owners[index % len(owners)]
            if owner not in seen:
                seen.add(owner)
                yield owner
                if len(seen) == count:
                    return

    def find(
        self, key: int, among: Collection[str], load: Callable[[str], float], total: float
    ) -> str | None:
        """Find the first of `among` that has room for one more, or else the one that is first;
        None: the ring has none of them. `total` is the load of all of them."""
        most = self.most(total, len(among))
        first: str | None = None
        for endpoint in self.walk(key):
            if endpoint in among:
                if load(endpoint) + 1 <= most:
                    return endpoint
                first = first or endpoint
        return first

    def most(self, total: float, count: int) -> int:
        """Say how much one of so many may have, with one more than `total` among them."""
        return ceil((total + 1) / max(count, 1) * self.factor)

    def _build(self, wanted: set[str]) -> None:
        """Keep the places of those that stay: with 500 endpoints making all anew takes 0.1 s."""
        old = zip(self._points, self._owners, strict=True)
        points = [each for each in old if each[1] in wanted]
        for endpoint in sorted(wanted - self._members):
            points += ((place(endpoint, number), endpoint) for number in range(self._places))
        points.sort()
        self._members = wanted
        self._points = [point for point, _ in points]
        self._owners = [owner for _, owner in points]


def place(endpoint: str, number: int) -> int:
    return xxhash.xxh3_64_intdigest(endpoint.encode("utf-8", "surrogatepass"), number)
