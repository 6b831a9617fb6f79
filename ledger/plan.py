"""What a batch of sightings means for the ledger. Pure: the same batch gives the same plan.

For one key the outcome does not depend on the order or number of its sightings:

    End                      the row; a second one is the same line read again
    Departure, Renewal       an open request; with a row already there, they only fill its gaps
    neither for `lease_s`    a row `unsettled`, which an End that comes late after all replaces
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ledger.row import Row, close, give_up, improve
from ledger.sighting import Departure, End, Origin, Renewal, latest
from ledger.store import Open

Seen = Departure | Renewal | End


@dataclass(slots=True)
class Plan:
    """What to commit, and what to tell once it is committed."""

    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    """Rows to write, by key."""
    opened: dict[str, Open] = field(default_factory=dict[str, Open])
    closed: set[str] = field(default_factory=set[str])
    settled: list[Row] = field(default_factory=list[Row])
    """Of `rows`, those whose end has come."""
    unsettled: list[Row] = field(default_factory=list[Row])
    """Of `rows`, those given up."""


def unknown_keys(seen: Iterable[Seen], open_: Mapping[str, Open]) -> set[str]:
    """List the keys that may have a row already: a request is open or has a row, never both."""
    return {s.key for s in seen} - open_.keys()


def plan(
    seen: Iterable[Seen], open_: Mapping[str, Open], rows: Mapping[str, Row], now_s: float
) -> Plan:
    """Decide what `seen` changes, given what is open and the rows that exist for its keys."""
    draft = _Draft(open_, rows, now_s)
    for sighting in seen:
        if isinstance(sighting, End):
            draft.end(sighting)
        else:
            draft.run(sighting)
    return draft.plan


def expire(plan_: Plan, open_: Mapping[str, Open], now_s: float, lease_s: float) -> None:
    """Give up every request that nobody vouched for in the last `lease_s`.

    Call it only when all files are read to their end: the proof of life may be in what is unread.
    """
    for key, request in {**open_, **plan_.opened}.items():
        if key not in plan_.closed and now_s - request.leased_at_s > lease_s:
            row = give_up(Origin(), request.seen)
            plan_.rows[key] = row
            plan_.unsettled.append(row)
            plan_.opened.pop(key, None)
            plan_.closed.add(key)


class _Draft:
    """A plan in the making."""

    def __init__(self, open_: Mapping[str, Open], rows: Mapping[str, Row], now_s: float) -> None:
        self.plan = Plan()
        self._open = open_
        self._rows = rows
        self._now_s = now_s

    def end(self, end: End) -> None:
        row = self._row(end.key)
        request = self._request(end.key)
        if row is not None and not row.unsettled:
            return
        known = row.origin if row else request.seen.origin if request else Origin()
        closed = close(known, end)
        self.plan.rows[end.key] = closed
        self.plan.settled.append(closed)
        self.plan.opened.pop(end.key, None)
        if end.key in self._open:
            self.plan.closed.add(end.key)

    def run(self, seen: Departure | Renewal) -> None:
        row = self._row(seen.key)
        if row is None:
            self._renew(seen)
            return
        better = improve(row, seen)
        if better != row:
            self.plan.rows[seen.key] = better

    def _renew(self, seen: Departure | Renewal) -> None:
        leased_at_s = self._now_s
        if isinstance(seen, Departure):  # it may have waited in the journal for a long time
            leased_at_s = min(seen.start_ms / 1000, self._now_s)
        request = self._request(seen.key)
        if request is not None:
            seen = latest(request.seen, seen)
            leased_at_s = max(leased_at_s, request.leased_at_s)
        renewed = Open(seen, leased_at_s)
        if renewed != request:
            self.plan.opened[seen.key] = renewed

    def _row(self, key: str) -> Row | None:
        return self.plan.rows.get(key) or self._rows.get(key)

    def _request(self, key: str) -> Open | None:
        return self.plan.opened.get(key) or self._open.get(key)
