"""Audit stores to test with: in SQLite, in a real PostgreSQL."""

import pytest

from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres():
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request, tmp_path):
    """The place of a store that is not there yet."""
    if request.param == "sqlite":
        return tmp_path / "audit.sqlite"
    return request.getfixturevalue("postgres").new_schema()
