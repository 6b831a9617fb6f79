import sqlite3
import threading

import pytest

from ledger.row import Row
from ledger.sqlite import SCHEMA_VERSION, SqliteLedger, open_reader
from ledger.store import Change, LedgerError, LedgerUnavailableError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = SqliteLedger(path)
    yield ledger
    ledger.close()


def rows(count, first=0):
    return [Row(settle_key=f"s{n}", start_ms=n) for n in range(first, first + count)]


def test_the_schema_has_the_fields_of_a_row_in_their_order(ledger, path):
    reader = open_reader(path)
    columns = [column[1] for column in reader.execute("PRAGMA table_info(request)")]
    assert columns == ["id", *Row.__struct_fields__]
    assert reader.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    reader.close()


def test_what_is_committed_survives_and_a_second_opening_changes_nothing(path):
    first = SqliteLedger(path)
    first.commit(Change(rows=rows(3), offsets={"a": 5}))
    first.close()
    second = SqliteLedger(path)
    assert set(second.rows(["s0", "s1", "s2"])) == {"s0", "s1", "s2"}
    assert second.offsets() == {"a": 5}
    second.close()


def test_a_second_writer_is_turned_away(ledger, path):
    with pytest.raises(LedgerError, match="another settle process"):
        SqliteLedger(path)


def test_a_newer_ledger_is_not_touched(path):
    SqliteLedger(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    for attempt in (SqliteLedger, open_reader):
        with pytest.raises(LedgerError, match="version 99"):
            attempt(path)


def test_a_file_that_is_no_ledger(path):
    path.write_bytes(b"certainly not a database, and long enough to be one" * 20)
    with pytest.raises(LedgerError, match="not a ledger"):
        SqliteLedger(path)


def test_a_reader_needs_a_ledger(path):
    with pytest.raises(LedgerError, match="no ledger"):
        open_reader(path)


def test_readers_see_whole_commits_while_the_writer_writes(ledger, path):
    done = threading.Event()
    counts = []

    def read():
        reader = open_reader(path)
        while not done.is_set():
            counts.append(reader.execute("SELECT count(*) FROM request").fetchone()[0])
        reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    for batch in range(30):
        ledger.commit(Change(rows=rows(7, first=7 * batch)))
    done.set()
    thread.join(20)
    assert counts
    assert all(count % 7 == 0 for count in counts)
    assert counts == sorted(counts)


def test_a_reader_cannot_write(ledger, path):
    reader = open_reader(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM request")
    reader.close()


def test_locked_by_someone_else_is_unavailable_and_later_fine(ledger, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailableError, match="locked"):
        ledger.commit(Change(rows=rows(1)))
    other.execute("ROLLBACK")
    other.close()
    ledger.commit(Change(rows=rows(1)))
    assert set(ledger.rows(["s0"])) == {"s0"}


def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(ledger):
    ledger.commit(Change(rows=rows(10)))
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerUnavailableError, match="full"):
        ledger.commit(Change(rows=rows(5_000, first=10), offsets={"a": 1}))
    assert ledger.offsets() == {}
    assert ledger.rows(["s10"]) == {}
    ledger._db.execute("PRAGMA max_page_count = 1000000")
    ledger.commit(Change(rows=rows(5_000, first=10), offsets={"a": 1}))
    assert set(ledger.rows(["s10", "s5009"])) == {"s10", "s5009"}


def test_what_breaks_a_rule_is_not_called_unavailable(ledger):
    broken = Row(settle_key="s1", start_ms=None)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.commit(Change(rows=[*rows(1), broken]))
    assert ledger.rows(["s0"]) == {}
