import pytest

from ledger import subjects
from ledger.database import open_database
from ledger.sql import open_ledger


@pytest.fixture
def database(where):
    open_ledger(where).close()
    database = open_database(where, writes=True)
    yield database
    database.close()


def test_pseudonyms_are_drawn_and_found_again(database):
    people = {("acme", "u1"), ("acme", "é'%s"), ("", "u1")}
    with database.transaction() as connection:
        drawn = subjects.introduce(connection, people)
        assert subjects.introduce(connection, set()) == {}
    assert len(set(drawn.values())) == 3
    with database.transaction() as connection:
        assert subjects.find(connection, {*people, ("acme", "u9")}) == drawn
        assert subjects.find(connection, set()) == {}


def test_many_at_once(database):
    people = {("acme", f"u{n}") for n in range(2_500)}
    with database.transaction() as connection:
        assert subjects.find(connection, people) == {}
        assert subjects.introduce(connection, people) == subjects.find(connection, people)


def test_erasing_forgets_one_and_nobody_else(database):
    people = {("acme", "u1"), ("acme", "u2"), ("globex", "u1"), ("", "u1")}
    with database.transaction() as connection:
        subjects.introduce(connection, people)
    with database.transaction() as connection:
        assert subjects.erase(connection, "acme", "u1") == 1
        assert subjects.erase(connection, None, "u1") == 1
        assert subjects.erase(connection, "acme", "nobody") == 0
        assert set(subjects.find(connection, people)) == {("acme", "u2"), ("globex", "u1")}


def test_a_pseudonym_says_nothing():
    drawn = {subjects.new_pseudonym() for _ in range(100)}
    assert len(drawn) == 100
    assert all(len(pseudonym) == 18 for pseudonym in drawn)
