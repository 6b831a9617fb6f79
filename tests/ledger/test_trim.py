"""Entries go from the start of a chain, and what remains can be verified."""

import pytest
from sqlalchemy import select, text

from ledger.compare import compare
from ledger.database import open_database
from ledger.roots import add_root
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.tables import CHAIN, QUARTER_MS
from ledger.trim import look, trim
from ledger.trimmed import NOTHING, Trimmed, read_trimmed
from ledger.verify import verify
from tests.ledger import books
from tests.ledger.lines import START_MS


class Archive:
    def __init__(self, where, state):
        self.where, self.state = where, state
        self.ledger = open_ledger(where)
        self.database = open_database(where, writes=True)
        self.signer = load_signer(state)

    def book(self, *keys, **members):
        rows = [books.row(key, **members) for key in keys]
        self.ledger.commit(Change(rows=rows, replaced=self.ledger.rows(keys)))

    def sign(self):
        with self.database.transaction() as connection:
            return add_root(connection, self.signer, 0)

    def trim(self, chain, until_seq, *, signed=True):
        return self.trim_all({chain: until_seq}, signed=signed).get(chain, 0)

    def trim_all(self, until, first_seq=0, *, signed=True):
        with self.database.transaction() as connection:
            found = look(connection, until, first_seq)
            deleted = trim(connection, until, first_seq)
            assert found == deleted
            if signed:
                add_root(connection, self.signer, 0)
        return {chain: each.entries for chain, each in deleted.items()}

    def faults(self):
        database = open_database(self.where)
        verdict = verify(database, load_verifier(self.state / PUBLIC_NAME))
        database.close()
        return [(fault.chain, fault.what) for fault in verdict.faults]

    def seqs(self):
        return [entry[0] for entry in books.entries(self.where)]

    def close(self):
        self.ledger.close()
        self.database.close()


@pytest.fixture
def archive(where, tmp_path):
    archive = Archive(where, tmp_path)
    archive.book("s1", "s2")
    archive.sign()
    archive.book("s3", tenant="globex")
    archive.book("s4", tenant=None)
    archive.sign()
    archive.book("s5", "s6")
    archive.book("s1", model="other")
    yield archive
    archive.close()


def test_what_remains_is_verified(archive):
    assert archive.trim("acme", 5) == 3
    assert archive.seqs() == [3, 4, 6, 7, 8]
    assert archive.trim("", 99) == 1
    assert archive.faults() == []
    archive.book("s7")
    archive.book("s8", tenant=None)
    archive.sign()
    assert archive.faults() == []
    assert archive.trim("acme", 99) == 4
    archive.book("s9")
    archive.ledger.close()
    archive.ledger = open_ledger(archive.where)
    archive.book("s10")
    assert archive.seqs() == [3, 10, 11, 12]
    assert archive.faults() == []


def test_nothing_to_delete_changes_nothing(archive):
    before = books.query(archive.where, select(CHAIN))
    assert archive.trim("acme", 0) == archive.trim("nobody", 99) == 0
    with archive.database.transaction() as connection:
        assert trim(connection, {}) == {}
    assert books.query(archive.where, select(CHAIN)) == before


def test_deleting_unsigned_is_tampering(archive):
    archive.trim("acme", 1, signed=False)
    assert archive.faults() == [("acme", "entries were deleted, and no root says so")]
    archive.sign()
    assert archive.faults() == []


def test_the_chain_remembers_what_was_deleted(archive):
    hashes = {books.named(e)["seq"]: books.named(e)["hash"] for e in books.entries(archive.where)}
    archive.trim("acme", 6)
    found = {tenant: columns for tenant, *columns in books.query(archive.where, select(CHAIN))}
    bucket_ms = START_MS - START_MS % QUARTER_MS
    sums = Trimmed(4, 28, 20, 8, 4 * 5 * 150_000, 4 * 2 * 75_000, 4 * 5 * 600_000)
    assert found["acme"][2:5] == [4, hashes[6], bucket_ms + QUARTER_MS]
    assert read_trimmed(found["acme"][5]) == sums
    assert found["globex"][2:] == [0, None, 0, None]


def test_sums_stay_and_are_compared_where_all_entries_are_left(archive):
    before = books.usage(archive.where)
    archive.trim("acme", 6)
    assert books.usage(archive.where) == before
    with books.reading(archive.where) as connection:
        without_begin = list(compare(connection, {}, lambda _: None))
    assert {fault.chain for fault in without_begin} == {"acme"}


def test_several_chains_at_once_each_to_its_place(archive):
    assert archive.trim_all({"acme": 2, "": 6, "globex": 6, "nobody": 6}) == {
        "acme": 2, "": 1, "globex": 1,
    }  # fmt: skip
    assert archive.trim_all({"acme": 6}, first_seq=5) == {"acme": 2}
    assert archive.seqs() == [7, 8]
    assert archive.faults() == []


def test_a_reversal_takes_away_from_what_was_deleted(archive):
    archive.trim("acme", 6)
    archive.trim("acme", 7)  # the reversal of the first
    ((stored,),) = books.query(
        archive.where, select(CHAIN.c.trimmed).where(CHAIN.c.tenant == "acme")
    )
    assert read_trimmed(stored).requests == 3
    assert archive.faults() == []
    archive.trim("acme", 8)
    assert archive.faults() == []
    assert NOTHING + NOTHING == NOTHING


SPOIL = {
    "sums in a quarter": "UPDATE usage_quarter SET prompt_tokens = prompt_tokens + 1",
    "what was deleted": "UPDATE chain SET trimmed = replace(trimmed, '28', '29')",
    "where it begins": "UPDATE chain SET begin_ms = begin_ms + 900000 WHERE begin > 0",
}


@pytest.mark.parametrize("statement", SPOIL.values(), ids=SPOIL)
def test_the_sums_of_what_is_gone_are_proved(archive, statement):
    archive.trim("acme", 6)
    assert archive.faults() == []
    with archive.database.transaction() as connection:
        connection.execute(text(statement))
    assert "acme" in [chain for chain, _ in archive.faults()]
