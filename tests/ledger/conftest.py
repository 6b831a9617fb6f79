"""Ledgers to test with: in memory, in SQLite, in a real PostgreSQL."""

import pytest

from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres():
    """One server for all tests of a session; each takes a schema of its own."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request, tmp_path):
    """The address of a ledger that is not there yet."""
    if request.param == "sqlite":
        return tmp_path / "ledger.sqlite"
    return request.getfixturevalue("postgres").new_schema()
