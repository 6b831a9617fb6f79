from contextlib import closing

import msgspec
import pytest

from ledger import lookbook
from ledger.counters import Counters
from ledger.database import open_database
from ledger.looks import Entry, Era, InFlight, Look, Running, Sums
from ledger.row import Row
from ledger.sighting import Departure, Origin, Renewal, Usage
from ledger.sql import open_ledger
from ledger.store import Change, LedgerError, Open
from ledger.tables import QUARTER_MS

MINUTE = 60_000


def look(minute, endpoint="a", era_ms=0):
    era = Era(endpoint, "p", era_ms, era_ms, Counters(), 0)
    return Look(era, minute * MINUTE, Counters(minute, 1, 2.5), 7, Sums(1, 2), InFlight(blind=3))


@pytest.fixture
def connect(where):
    """Transactions on a ledger that is there."""
    with closing(open_ledger(where)), closing(open_database(where, writes=True)) as database:
        yield database.transaction


def test_the_last_look_of_each_quarter_is_kept(connect):
    with connect() as connection:
        assert lookbook.read_latest(connection) == {}
        for minute in (1, 2, 14, 16, 20):
            lookbook.keep(connection, [look(minute), look(minute, "b")])
        lookbook.keep(connection, [])
    with connect() as connection:
        assert lookbook.read_latest(connection) == {"a": look(20), "b": look(20, "b")}
        kept = lookbook.read_since(connection, 0)
        assert kept == {e: [look(14, e), look(20, e)] for e in ("a", "b")}


def test_since_begins_with_the_last_look_before(connect):
    with connect() as connection:
        lookbook.keep(connection, [look(minute) for minute in (10, 25, 40, 55)])
        lookbook.keep(connection, [look(50, "young")])
        since = lookbook.read_since(connection, 30 * MINUTE)
    assert [each.at_ms for each in since["a"]] == [25 * MINUTE, 40 * MINUTE, 55 * MINUTE]
    assert since["young"] == [look(50, "young")]


def test_eras_are_kept_apart(connect):
    with connect() as connection:
        lookbook.keep(connection, [look(3), look(5, era_ms=4 * MINUTE)])
        assert lookbook.read_latest(connection)["a"].era.before_ms == 4 * MINUTE
        assert len(lookbook.read_since(connection, 0)["a"]) == 2


def test_old_looks_are_forgotten(connect):
    with connect() as connection:
        lookbook.keep(connection, [look(1)])
        late = msgspec.structs.replace(look(1), at_ms=lookbook.KEEP_MS + 2 * QUARTER_MS)
        lookbook.keep(connection, [late])
        assert lookbook.read_since(connection, 0) == {"a": [late]}


@pytest.mark.parametrize("text", ["", "{}", "[" * 2000, '{"era":1}'])
def test_what_is_no_look(text):
    with pytest.raises(LedgerError):
        lookbook.read_look(text)


def test_entries_and_open_requests(where):
    rows = [
        Row("s1", 1000, pool="p", endpoint="a", prompt_tokens=3, completion_tokens=4, n=2),
        Row("s2", 2000, pool="p", endpoint="b", unsettled=True),
    ]
    opened = {
        "k1": Open(Departure("k1", 5000, Origin(pool="p", n=2)), 5.0),
        "k2": Open(Renewal("k2", 6000, Origin(pool="p"), Usage(9), endpoint="a", attempts=2), 6.0),
    }
    with closing(open_ledger(where)) as ledger, closing(open_database(where)) as database:
        with database.transaction() as connection:
            assert lookbook.last_seq(connection) == 0
        ledger.commit(Change(rows[:1], booked_ms=3000))
        ledger.commit(Change(rows[1:], opened=opened, booked_ms=4000))
        with database.transaction() as connection:
            assert lookbook.last_seq(connection) == 2
            assert lookbook.last_seq(connection, 4000) == 1
            first, second = sorted(lookbook.read_entries(connection, 0, 2))
            assert list(lookbook.read_entries(connection, 1, 2)) == [second]
            running = lookbook.read_running(connection)
    assert first == Entry(1, 1, 3000, 1000, "p", "a", 2, 3, 4, None, None, None, None, 0, 0, 0)
    assert (second.endpoint, second.unsettled, second.prompt_tokens) == ("b", 1, None)
    assert sorted(running) == [
        Running(5000, "p", None, 2, None, 0),
        Running(6000, "p", "a", 1, 9, 2),
    ]


def test_marks(connect):
    with connect() as connection:
        assert lookbook.read_mark(connection, "x") is None
        lookbook.set_mark(connection, "x", 5)
        lookbook.set_mark(connection, "y", 1)
        lookbook.set_mark(connection, "x", 2**40)
    with connect() as connection:
        assert lookbook.read_mark(connection, "x") == 2**40
        assert lookbook.read_mark(connection, "y") == 1
