"""One ledger for all tests that only read it."""

import pytest

from tests.postgres import PostgresServer
from tests.sidecars.ledger.books import ACME, ALL, GLOBEX, SUPPORT, Client, rows, serving, write


@pytest.fixture(scope="session")
def ledger(tmp_path_factory):
    path = tmp_path_factory.mktemp("usage") / "ledger.sqlite"
    write(path, rows())
    return path


@pytest.fixture(scope="session")
def postgres_ledger():
    server = PostgresServer()
    where = server.new_database()
    write(where, rows())
    yield where
    server.close()


@pytest.fixture(scope="session")
def app(ledger):
    """Over that ledger. Its tests ask one thing after the other, each in a loop of its own."""
    with serving(ledger) as made:
        yield made


@pytest.fixture
def acme(app):
    return Client(app, ACME)


@pytest.fixture
def globex(app):
    return Client(app, GLOBEX)


@pytest.fixture
def support(app):
    return Client(app, SUPPORT)


@pytest.fixture
def everybody(app):
    return Client(app, ALL)
