"""Keeps `usage_key` and `usage_quarter`, in the transaction that books the entries."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection, bindparam, func, select, tuple_

from ledger.recent import Recent
from ledger.rollup import (
    Dimensions,
    Tallies,
    Tally,
    digest,
    merge_histogram,
    pack_histogram,
    read_histogram,
)
from ledger.statements import Statements
from ledger.tables import USAGE_KEY, USAGE_QUARTER

_KEYS_KEPT = 50_000
"""Combinations of dimensions whose id is remembered: some 60 MB if each were used."""
_HISTOGRAMS_KEPT = 20_000
"""Histograms remembered: those of the last quarter of an hour are met again and again."""
_AT_ONCE = 500
"""Rows asked for in one query."""

Place = tuple[int, int]
"""Primary key of `usage_quarter`."""

_KEYS = select(USAGE_KEY.c.digest, USAGE_KEY.c.id).where(
    USAGE_KEY.c.digest.in_(bindparam("digests", expanding=True))
)
_PLACE = (USAGE_QUARTER.c.key, USAGE_QUARTER.c.bucket_ms)
_HISTOGRAMS = select(*_PLACE, USAGE_QUARTER.c.ttft).where(
    tuple_(*_PLACE).in_(bindparam("places", expanding=True))
)


class Sums:
    """One writer's. After a fault, make a new one: this one may remember what was rolled back."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self._keys = Recent[Dimensions, int](_KEYS_KEPT)
        self._histograms = Recent[Place, bytes](_HISTOGRAMS_KEPT)
        self._last_key: int | None = None

    def add(self, connection: Connection, tallies: Tallies) -> None:
        """Add to what is stored."""
        keys = self._find_keys(connection, {dimensions for dimensions, _ in tallies})
        placed = {(keys[dims], bucket_ms): tally for (dims, bucket_ms), tally in tallies.items()}
        histograms = self._merge_histograms(connection, placed)
        self._statements.add_usage.run(
            connection,
            [(*place, *tally.sums, histograms.get(place)) for place, tally in placed.items()],
        )

    def _find_keys(
        self, connection: Connection, wanted: Collection[Dimensions]
    ) -> dict[Dimensions, int]:
        found = {dimensions: self._keys.get(dimensions) for dimensions in wanted}
        unknown = {digest(dims): dims for dims, key in found.items() if key is None}
        for some in _chunks(list(unknown)):
            for digest_, key in connection.execute(_KEYS, {"digests": some}):
                found[unknown.pop(bytes(digest_))] = key
        found |= self._make_keys(connection, unknown)
        keys = {dimensions: key for dimensions, key in found.items() if key is not None}
        for dimensions, key in keys.items():
            self._keys.put(dimensions, key)
        return keys

    def _make_keys(
        self, connection: Connection, new: Mapping[bytes, Dimensions]
    ) -> dict[Dimensions, int]:
        if not new:
            return {}
        if self._last_key is None:
            query = select(func.coalesce(func.max(USAGE_KEY.c.id), 0))
            self._last_key = int(connection.execute(query).scalar_one())
        first = self._last_key + 1
        self._last_key += len(new)
        made = {dimensions: first + nth for nth, dimensions in enumerate(new.values())}
        self._statements.name_usage.run(
            connection, [(made[dims], digest_, *dims) for digest_, dims in new.items()]
        )
        return made

    def _merge_histograms(
        self, connection: Connection, tallies: Mapping[Place, Tally]
    ) -> dict[Place, bytes]:
        """Put what is new together with what is stored, for those that have anything new."""
        places = [place for place, tally in tallies.items() if tally.ttft]
        stored = {place: self._histograms.get(place) for place in places}
        for some in _chunks([place for place, packed in stored.items() if packed is None]):
            for key, bucket_ms, packed in connection.execute(_HISTOGRAMS, {"places": some}):
                stored[key, bucket_ms] = packed
        merged: dict[Place, bytes] = {}
        for place in places:
            histogram = read_histogram(stored[place])
            merge_histogram(histogram, tallies[place].ttft)
            merged[place] = pack_histogram(histogram)
            self._histograms.put(place, merged[place])
        return merged


T = TypeVar("T")


def _chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
