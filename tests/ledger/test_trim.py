"""Entries go from the start of a chain, and what remains can be verified."""

import pytest
from sqlalchemy import select

from ledger.compare import compare
from ledger.database import open_database
from ledger.roots import add_root
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.tables import CHAIN, QUARTER_MS
from ledger.trim import trim
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
        with self.database.transaction() as connection:
            deleted = trim(connection, chain, until_seq)
            if signed:
                add_root(connection, self.signer, 0)
        return deleted

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
    assert found["acme"][2:] == [4, hashes[6], bucket_ms + QUARTER_MS]
    assert found["globex"][2:] == [0, None, 0]


def test_sums_stay_and_are_compared_where_all_entries_are_left(archive):
    before = books.usage(archive.where)
    archive.trim("acme", 6)
    assert books.usage(archive.where) == before
    with books.reading(archive.where) as connection:
        without_begin = list(compare(connection, {}, lambda _: None))
    assert {fault.chain for fault in without_begin} == {"acme"}
