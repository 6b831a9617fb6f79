import json
from hashlib import sha256

import msgspec
import pytest
from sqlalchemy import select

from ledger.database import open_database
from ledger.roots import (
    FILE_NAME,
    Rooting,
    append,
    read_document,
    read_roots,
    standing,
)
from ledger.signing import PUBLIC_NAME, load_signer, load_verifier
from ledger.sql import open_ledger
from ledger.store import Change, LedgerError
from ledger.tables import ROOT
from tests.ledger import books


class Office:
    """A ledger and the duty that signs it."""

    def __init__(self, where, state):
        self.where, self.state = where, state
        self.ledger = open_ledger(where)
        self.database = open_database(where, writes=True)
        self.file = state / FILE_NAME
        self.start()

    def start(self):
        signer = load_signer(self.state)
        self.rooting = Rooting(self.database, signer, self.file, clock=lambda: 5)

    def book(self, *keys, **members):
        self.ledger.commit(Change(rows=[books.row(key, **members) for key in keys]))

    def stored(self):
        return books.query(self.where, select(ROOT).order_by(ROOT.c.id))

    def close(self):
        self.ledger.close()
        self.database.close()


@pytest.fixture
def office(where, tmp_path):
    office = Office(where, tmp_path)
    yield office
    office.close()


def test_without_entries_there_is_nothing_to_sign(office):
    office.rooting.run()
    assert office.stored() == []
    assert list(read_roots(office.file)) == []


def test_a_root_says_where_every_chain_stands(office):
    office.book("s1", "s2")
    office.book("s3", tenant="globex")
    office.rooting.run()
    ((id_, at_ms, text, signature, key_id),) = office.stored()
    document = json.loads(text)
    assert (id_, at_ms, key_id) == (1, 5000, document["key_id"])
    heads = [books.named(entry)["hash"].hex() for entry in books.entries(office.where)]
    begin = {"begin": 0, "begin_hash": "", "begin_ms": 0}
    assert document == {
        "id": 1,
        "at_ms": 5000,
        "key_id": key_id,
        "previous": "",
        "entries": 3,
        "chains": [
            {"tenant": "acme", "length": 2, "head": heads[1], **begin},
            {"tenant": "globex", "length": 1, "head": heads[2], **begin},
        ],
    }
    verifier = load_verifier(office.state / PUBLIC_NAME)
    assert verifier.is_signed(text, bytes(signature), key_id)


def test_a_root_follows_the_one_before_when_anything_has_changed(office):
    office.book("s1")
    office.rooting.run()
    office.rooting.run()
    assert len(office.stored()) == 1
    office.book("s2")
    office.rooting.run()
    first, second = (root[2] for root in office.stored())
    assert json.loads(second)["previous"] == sha256(first.encode()).hexdigest()
    assert json.loads(second)["entries"] == 2


def test_the_file_has_what_the_database_has(office):
    for key in ("s1", "s2"):
        office.book(key)
        office.rooting.run()
    roots = [msgspec.structs.astuple(root) for root in read_roots(office.file)]
    assert roots == [(i, at, doc, bytes(sig), key) for i, at, doc, sig, key in office.stored()]


def test_a_file_that_lacks_the_last_root_gets_it_at_the_next_start(office):
    for key in ("s1", "s2"):
        office.book(key)
        office.rooting.run()
    lines = office.file.read_bytes().splitlines(keepends=True)
    office.file.write_bytes(lines[0] + lines[1][:20])
    office.start()
    office.rooting.run()
    assert [root.id for root in read_roots(office.file)] == [1, 2]
    assert office.file.read_bytes().endswith(lines[1])


def test_a_file_that_is_gone_is_written_anew(office):
    office.book("s1")
    office.rooting.run()
    office.file.unlink()
    office.start()
    office.rooting.run()
    assert [root.id for root in read_roots(office.file)] == [1]


def test_no_file_has_no_roots(tmp_path):
    assert list(read_roots(tmp_path / FILE_NAME)) == []
    append(tmp_path / FILE_NAME, [])
    assert (tmp_path / FILE_NAME).read_bytes() == b""


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "no",
        '{"id":1,"at_ms":0,"key_id":"","previous":"","entries":0,"chains":[],"more":1}',
        '{"id": 1,"at_ms":0,"key_id":"","previous":"","entries":0,"chains":[]}',
    ],
)  # fmt: skip
def test_what_is_no_document(text):
    with pytest.raises(LedgerError, match="no root document"):
        read_document(text)


@pytest.mark.parametrize(
    "columns",
    [
        ("acme", "2", b"h", 0, None, 0, None),
        ("acme", 2, "h", 0, None, 0, None),
        ("acme", 2, b"h", 0, 5, 0, None),
        (None, 2, b"h", 0, None, 0, None),
        ("acme", 2, b"h", 0, None, 0, "[]"),
        ("acme", 2, b"h", 0, None, 0, 7),
    ],
)
def test_a_chain_that_makes_no_sense(columns):
    with pytest.raises(ValueError, match=r"type|Expected"):
        standing(columns)
