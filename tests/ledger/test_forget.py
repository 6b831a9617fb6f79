"""Whoever has no entry any more loses the name, and nobody else does."""

import pytest
from sqlalchemy import select

from ledger.forget import forget_absent
from ledger.tables import SUBJECT
from ledger.trim import trim
from tests.ledger import books
from tests.ledger.archive import Archive


@pytest.fixture
def archive(where, tmp_path):
    archive = Archive(where, tmp_path)
    archive.book("s1", user="gone")
    archive.book("s2", user="back")
    archive.book("s3", user="here")
    archive.book("s4", user="here")
    archive.sign()
    with archive.database.transaction() as connection:
        trim(connection, {"acme": 3})
    yield archive
    archive.close()


def names(archive):
    return {name for (name,) in books.query(archive.where, select(SUBJECT.c.name))}


def test_who_has_an_entry_stays(archive):
    assert forget_absent(archive.reader, archive.database) == 2
    assert names(archive) == {"here"}
    assert forget_absent(archive.reader, archive.database) == 0


class Slow:
    """A database in which something happens before one gets in."""

    def __init__(self, database, meanwhile):
        self.database, self.meanwhile = database, meanwhile

    def transaction(self):
        self.meanwhile()
        return self.database.transaction()


def test_who_comes_back_in_the_meantime_stays(archive):
    slow = Slow(archive.database, lambda: archive.book("s5", user="back"))
    assert forget_absent(archive.reader, slow) == 1
    assert names(archive) == {"back", "here"}
    (user,) = {books.named(e)["user"] for e in books.entries(archive.where) if e[1] == "s5"}
    ((known,),) = books.query(
        archive.where, select(SUBJECT.c.pseudonym).where(SUBJECT.c.name == "back")
    )
    assert user == known
