"""The duty to compare: looks at every engine, adds up the ledger, says what is missing.

A turn judges the scrape of the turn before. By then everything that had ended at that scrape is
booked, and nobody has to wait for it. It adds up the entries of the last quarter of an hour anew, so a
booked row that is changed afterwards shows too, and not only a row that never came.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace
from sqlalchemy import Connection

from ledger.balance import add_running, add_up
from ledger.config import Config, Drift, Endpoint
from ledger.counters import Scrape, scrape_all
from ledger.database import Database
from ledger.disagreement import Teller
from ledger.lookbook import keep, last_seq, read_entries, read_latest, read_running, read_since
from ledger.looks import LINGER_MS, Look, begin_era
from ledger.reconcile import compare
from ledger.trail import DAY_MS, Trail, resume
from telemetry.logs import Event, EventLog

LAG_MS = 500
"""From the end of a request to its line in the access log, at most: Envoy flushes every 10 ms."""

_log = EventLog(__name__)


class Reconciling:
    """Implements `duty.Duty`. One per settle process."""

    name = "reconcile"
    at_stop = False

    def __init__(
        self,
        reader: Database,
        writer: Database,
        config: Callable[[], Config],
        settled_until_s: Callable[[], float],
        teller: Teller,
    ) -> None:
        """`settled_until_s`: what had been logged by then is in the ledger."""
        self._reader = reader
        self._writer = writer
        self._config = config
        self._settled_until_s = settled_until_s
        self._teller = teller
        self._scraped: Mapping[str, Scrape | str] = {}
        self._trails: dict[str, Trail] | None = None

    @property
    def every_s(self) -> float:
        return self._config().reconcile_interval_s

    def run(self) -> None:
        config = self._config()
        endpoints = {endpoint.address: endpoint for endpoint in config.endpoints}
        scrapes = {
            address: scrape
            for address, scrape in self._scraped.items()
            if isinstance(scrape, Scrape) and address in endpoints
        }
        if scrapes and self._settled_until_s() * 1000 < last_of(scrapes) + LAG_MS:
            return  # what ended before it may still be on its way here: the next turn judges it
        if scrapes:
            self._judge(scrapes, endpoints, config.drift)
        self._scraped = {}  # what cannot be asked now is not judged with old counters in the next turn
        self._scraped = asyncio.run(scrape_all(endpoints.values())) if endpoints else {}
        self._teller.missed(self._scraped)

    def _judge(
        self, scrapes: Mapping[str, Scrape], endpoints: Mapping[str, Endpoint], drift: Drift
    ) -> None:
        with self._reader.transaction() as connection:
            if self._trails is None:
                self._trails = restore(connection, last_of(scrapes))
            looks = self._look(connection, self._trails, scrapes, endpoints)
        with self._writer.transaction() as connection:
            keep(connection, looks)
        for look in looks:
            trail = self._trails[look.era.endpoint]
            trail.add(look)
            whole, day = (
                compare(first, look)
                for first in (Look.first(look.era), trail.reference(look.at_ms))
            )
            self._teller.found(whole, day, drift)

    def _look(
        self,
        connection: Connection,
        trails: dict[str, Trail],
        scrapes: Mapping[str, Scrape],
        endpoints: Mapping[str, Endpoint],
    ) -> Sequence[Look]:
        seq = last_seq(connection)
        first_ms = min(scrape.began_ms for scrape in scrapes.values())
        booked = last_seq(connection, first_ms - LINGER_MS)
        for address, scrape in scrapes.items():
            trail = trails.get(address)
            last = None if trail is None else trail.last
            era = begin_era(address, endpoints[address].pool, scrape, last, booked)
            if era is None:
                continue
            if last is not None:
                _log.warning(Event.WITNESS_RESET, endpoint=address)
                # That look was judged a turn late: what was booked meanwhile may be of this era.
                era = replace(era, seq=min(era.seq, last_seq(connection, last.at_ms)))
            trails[address] = Trail(Look.first(era))
        before = {
            address: trails[address].start(scrape.began_ms, seq)
            for address, scrape in scrapes.items()
        }
        entries = read_entries(connection, min(look.seq for look in before.values()), seq)
        looks = add_up(before, scrapes, entries, seq)
        running = read_running(connection)
        for address, look in looks.items():
            add_running(look, scrapes[address], running)
        return list(looks.values())


def restore(connection: Connection, now_ms: int) -> dict[str, Trail]:
    """Go on where the last process stopped."""
    trails = {address: Trail(look) for address, look in read_latest(connection).items()}
    for address, looks in read_since(connection, now_ms - DAY_MS).items():
        trails[address] = resume(looks)
    return trails


def last_of(scrapes: Mapping[str, Scrape]) -> int:
    return max(scrape.ended_ms for scrape in scrapes.values())
