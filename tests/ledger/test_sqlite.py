import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from ledger.database import open_database
from ledger.sql import open_ledger
from ledger.store import Change, LedgerError, LedgerUnavailableError
from ledger.tables import ENTRY
from tests.ledger.books import reading, rows

COUNT = select(func.count()).select_from(ENTRY)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = open_ledger(path)
    yield ledger
    ledger.close()


def test_a_second_writer_is_turned_away(ledger, path):
    with pytest.raises(LedgerError, match="another settle process"):
        open_ledger(path)


def test_the_claim_ends_with_the_ledger(path):
    open_ledger(path).close()
    open_ledger(path).close()


def test_a_file_that_is_no_ledger(path):
    path.write_bytes(b"certainly not a database, and long enough to be one" * 20)
    for attempt in (open_ledger, open_database):
        with pytest.raises(LedgerError, match="not a ledger"):
            attempt(path)


def test_no_thread_takes_another_s_connection_away(ledger, path):
    """Not even when there are many: threads of a pool come and go."""
    ledger.commit(Change(rows=rows(1)))
    many = 12
    meet = threading.Barrier(many)
    with closing(open_database(path)) as database:

        def read(_thread):
            for _ in range(2):
                with database.transaction() as connection:
                    meet.wait(30)
                    counts.append(connection.execute(COUNT).scalar_one())
                    meet.wait(30)
                    counts.append(connection.execute(COUNT).scalar_one())

        counts = []
        with ThreadPoolExecutor(many) as threads:
            list(threads.map(read, range(many)))
    assert counts == [1] * many * 4


def test_a_ledger_that_took_another_s_place_is_read(ledger, path, tmp_path):
    ledger.commit(Change(rows=rows(1)))
    with closing(open_database(path)) as database:
        with database.transaction() as connection:
            assert connection.execute(COUNT).scalar_one() == 1
        with closing(open_ledger(tmp_path / "restored.sqlite")) as restored:
            restored.commit(Change(rows=rows(3)))
        for suffix in ("-wal", "-shm", ""):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(tmp_path / f"aside.sqlite{suffix}")
        (tmp_path / "restored.sqlite").rename(path)
        with database.transaction() as connection:
            assert connection.execute(COUNT).scalar_one() == 3


def test_readers_see_whole_commits_while_the_writer_writes(ledger, path):
    done = threading.Event()
    counts = []

    def read():
        reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        while not (done.is_set() and counts):
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


def test_what_a_reader_reads_is_one_state(ledger, path):
    ledger.commit(Change(rows=rows(1)))
    with reading(path) as connection:
        assert len(connection.execute(select(ENTRY.c.seq)).all()) == 1
        ledger.commit(Change(rows=rows(1, first=1)))
        assert len(connection.execute(select(ENTRY.c.seq)).all()) == 1


def test_a_reader_cannot_write(ledger, path):
    database = open_database(path)
    with pytest.raises(LedgerError, match="readonly"), database.transaction() as connection:
        connection.execute(text("DELETE FROM source"))
    database.close()


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
    limit_pages(ledger, None)
    with pytest.raises(LedgerUnavailableError, match="full"):
        ledger.commit(Change(rows=rows(5_000, first=10), offsets={"a": 1}))
    assert ledger.offsets() == {}
    assert ledger.rows(["s10"]) == {}
    limit_pages(ledger, 1_000_000)
    ledger.commit(Change(rows=rows(5_000, first=10), offsets={"a": 1}))
    assert set(ledger.rows(["s10", "s5009"])) == {"s10", "s5009"}


def limit_pages(ledger, pages):
    """Let the file grow to so many pages, or no further than it is."""
    with ledger._transaction() as connection:
        if pages is None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")


def test_a_power_cut_is_survived_and_erased_names_are_overwritten(ledger):
    with ledger._transaction() as connection:
        pragmas = ("journal_mode", "synchronous", "secure_delete")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    assert found == ["wal", 2, 1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET prompt_tokens = 0",
        "UPDATE OR REPLACE entry SET seq = 2",
        "DELETE FROM entry WHERE seq = 1",
    ],
)
def test_entries_can_neither_be_changed_nor_deleted(ledger, path, statement):
    ledger.commit(Change(rows=rows(2)))
    database = open_database(path, writes=True)
    with pytest.raises(IntegrityError, match="never"), database.transaction() as connection:
        connection.execute(text(statement))
    database.close()
