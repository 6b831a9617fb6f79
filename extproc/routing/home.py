"""Where a request belongs when nothing else is known of it: its place on the hash ring."""

from collections.abc import Collection, Sequence
from itertools import islice

import xxhash

from extproc.routing.candidate import TRIES, Asked, Candidate, Choice
from extproc.routing.ladder import line_up, order
from extproc.routing.ring import Ring
from extproc.routing.settings import PickerSettings


class Home:
    """Of one pool."""

    def __init__(self, settings: PickerSettings) -> None:
        self.ring = Ring(settings.ring_factor, settings.ring_places)
        self._key_blocks = settings.key_blocks

    def key(self, asked: Asked) -> int | None:
        """Find what to hash: the session, or else the beginning of the prompt; None: it has neither."""
        if asked.session:
            return hash_session(asked.session)
        if not asked.blocks:
            return None
        return asked.blocks[min(self._key_blocks, len(asked.blocks)) - 1]

    def choose(
        self,
        asked: Asked,
        among: Sequence[Candidate],
        candidates: Sequence[Candidate],
        key: int | None = None,
    ) -> Choice:
        """By the ring, bounded by our own counts; without a key by chance. `key` is the request's own,
        unless another one is given."""
        key = self.key(asked) if key is None else key
        if key is None:
            first = [among[place].endpoint for place in order(asked.key, [0.0] * len(among))]
            return Choice(line_up(first, among, candidates), "any")
        if among is not candidates:
            self.know(candidates)
        return Choice(line_up(self.line(key, among), among, candidates), "hash")

    def know(self, candidates: Sequence[Candidate]) -> None:
        """Make places for all of them at once, where each choice is among some of them."""
        self.ring.keep([each.endpoint for each in candidates])

    def line(self, key: int, among: Sequence[Candidate]) -> Sequence[str]:
        """The first that has room, then those that follow it on the ring."""
        loads = {each.endpoint: each.in_flight for each in among}
        first = self.find(key, among)
        behind = islice((e for e in self.ring.walk(key) if e in loads), TRIES)
        return [first, *behind] if first is not None else []

    def settle(self, key: int, places: Collection[str], holders: set[str]) -> str | None:
        """Find the first on the ring of those `places` that are `holders` of what stands before the
        key, or of all of them where none is. Without a bound; None: there are no places."""
        self.ring.keep(places)
        among = holders.intersection(places) or places
        return next((each for each in self.ring.walk(key) if each in among), None)

    def find(self, key: int, among: Sequence[Candidate]) -> str | None:
        """Find the first on the ring that has room, by our own counts."""
        loads = {each.endpoint: each.in_flight for each in among}
        self.ring.keep(loads.keys())
        return self.ring.find(key, loads.keys(), loads.__getitem__, sum(loads.values()))


def hash_session(session: str) -> int:
    return xxhash.xxh3_64_intdigest(session.encode("utf-8", "surrogatepass"))
