import signal

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from ledger.database import open_database
from ledger.settle import Pace, Settler
from ledger.sql import open_ledger
from ledger.store import Change, LedgerError, LedgerUnavailableError
from ledger.tables import ENTRY
from telemetry.metrics import SettleMetrics
from tests.ledger.books import entries, query, reading, rows
from tests.ledger.lines import end
from tests.postgres import PostgresServer


@pytest.fixture
def address(postgres):
    return postgres.new_schema()


@pytest.fixture
def ledger(address):
    ledger = open_ledger(address)
    yield ledger
    ledger.close()


def end_connections(postgres, address):
    """What a network that breaks does. They are gone when this returns, and their locks with them."""
    database = open_database(address, writes=True)
    with database.transaction() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    database.close()


def test_a_second_writer_is_turned_away(ledger, address):
    with pytest.raises(LedgerError, match="another settle process"):
        open_ledger(address)


def test_the_claim_ends_with_the_ledger(address):
    open_ledger(address).close()
    open_ledger(address).close()


def test_two_schemas_are_two_ledgers(ledger, postgres):
    elsewhere = open_ledger(postgres.new_schema())
    elsewhere.commit(Change(rows=rows(1)))
    assert ledger.rows(["s0"]) == {}
    elsewhere.close()


def test_what_a_reader_reads_is_one_state(ledger, address):
    ledger.commit(Change(rows=rows(1)))
    with reading(address) as connection:
        assert len(connection.execute(select(ENTRY.c.seq)).all()) == 1
        ledger.commit(Change(rows=rows(1, first=1)))
        assert len(connection.execute(select(ENTRY.c.seq)).all()) == 1


def test_a_reader_cannot_write(ledger, address):
    database = open_database(address)
    with pytest.raises(LedgerError, match="read-only"), database.transaction() as connection:
        connection.execute(text("DELETE FROM source"))
    database.close()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE entry SET prompt_tokens = 0", "DELETE FROM entry WHERE seq = 1", "TRUNCATE entry"],
)
def test_entries_can_neither_be_changed_nor_deleted(ledger, address, statement):
    ledger.commit(Change(rows=rows(2)))
    database = open_database(address, writes=True)
    with pytest.raises(DBAPIError, match="never changed"), database.transaction() as connection:
        connection.execute(text(statement))
    database.close()


def test_a_lost_connection_is_unavailable_and_then_found_again(postgres, ledger, address):
    ledger.commit(Change(rows=rows(1), offsets={"a": 1}))
    end_connections(postgres, address)
    with pytest.raises(LedgerUnavailableError):
        ledger.commit(Change(rows=rows(1, first=1), offsets={"a": 2}))
    ledger.commit(Change(rows=rows(1, first=1), offsets={"a": 2}, after=ledger.position()))
    assert [values[0] for values in entries(address)] == [1, 2]
    with pytest.raises(LedgerError, match="another settle process"):
        open_ledger(address)


def test_whoever_took_over_meanwhile_is_not_disturbed(postgres, ledger, address):
    end_connections(postgres, address)
    successor = open_ledger(address)
    with pytest.raises(LedgerUnavailableError):
        ledger.position()
    with pytest.raises(LedgerUnavailableError, match="another settle process"):
        ledger.position()
    successor.close()
    assert ledger.position() == 0


def test_no_server_is_unavailable(tmp_path):
    with pytest.raises(LedgerUnavailableError):
        open_ledger(f"postgresql://postgres@/none?host={tmp_path}")


@pytest.fixture
def own_server():
    server = PostgresServer()
    yield server
    server.close()


def test_restarts_and_crashes_only_delay_rows(own_server, tmp_path):
    address = own_server.new_schema()
    ledger = open_ledger(address)
    log, journal = tmp_path / "log" / "access.jsonl", tmp_path / "journal"
    log.parent.mkdir()
    journal.mkdir()
    settler = Settler(log, journal, ledger, SettleMetrics(CollectorRegistry()))
    blocked = 0
    for turn in range(12):
        with log.open("ab") as lines:
            lines.writelines(end(f"s{turn}-{n}") + b"\n" for n in range(10))
        if turn % 4 == 1:
            own_server.restart(signal.SIGQUIT if turn == 5 else signal.SIGINT)
        if turn == 9:
            own_server.stop()
            assert settler.step() is Pace.BLOCKED
            assert settler.step() is Pace.BLOCKED
            own_server.start()
        while settler.step() is Pace.BLOCKED:
            blocked += 1
            assert blocked < 10
    assert blocked >= 2
    settler.close()
    ledger.close()
    keys = [key for (key,) in query(address, select(ENTRY.c.settle_key))]
    assert sorted(keys) == sorted(f"s{turn}-{n}" for turn in range(12) for n in range(10))
