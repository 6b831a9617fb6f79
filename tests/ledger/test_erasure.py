"""A person is erased: nobody can tell any more who it was, and everything else stays as it was."""

import random
import threading
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import select, text

from ledger import subjects
from ledger.erasure import (
    FILE_NAME,
    Erasure,
    count_running,
    erase,
    erase_again,
    keep_file,
    read_file,
    wipe,
)
from ledger.patience import patiently
from ledger.sighting import Departure, Origin
from ledger.store import Change, Open
from ledger.tables import ERASURE, REQUEST, SUBJECT, USAGE
from tests.ledger import books
from tests.ledger.archive import Archive

ALICE = ("acme", "alice.example")


@pytest.fixture
def archive(where, tmp_path):
    archive = Archive(where, tmp_path)
    archive.book("s1", "s2", user=ALICE[1])
    archive.book("s3", user="bob")
    archive.book("s4", tenant="globex", user=ALICE[1])
    archive.sign()
    yield archive
    archive.close()


def users(archive, view=REQUEST, tenant="acme"):
    found = books.query(archive.where, select(view.c.user).where(view.c.tenant == tenant))
    return [user for (user,) in found]


def test_the_name_goes_and_sums_and_proof_stay(archive):
    before, entries = books.usage(archive.where), books.entries(archive.where)
    erasure = erase(archive.database, ALICE, "dpo", 7)
    (pseudonym,) = set(users(archive)) - {"bob"}
    assert erasure == Erasure(pseudonym, "acme", 7, "dpo")
    assert books.usage(archive.where) == before
    assert books.entries(archive.where) == entries
    assert archive.faults() == []
    assert set(users(archive, USAGE)) == {erasure.pseudonym, "bob"}
    assert users(archive, tenant="globex") == [ALICE[1]]
    assert books.query(archive.where, select(ERASURE)) == [(erasure.pseudonym, "acme", 7, "dpo")]


def test_nobody_is_erased_twice(archive):
    assert erase(archive.database, ALICE, "dpo", 7) is not None
    assert erase(archive.database, ALICE, "dpo", 8) is None
    assert erase(archive.database, ("", "nobody"), "dpo", 9) is None
    assert len(books.query(archive.where, select(ERASURE))) == 1


def test_who_comes_again_is_somebody_else(archive):
    erasure = erase(archive.database, ALICE, "dpo", 7)
    archive.book("s5", user=ALICE[1])
    archive.book("s1", model="other", user=ALICE[1])
    found = {books.named(entry)["user"] for entry in books.entries(archive.where)[4:]}
    assert len(found) == 2
    assert erasure.pseudonym in found  # the reversal of what was booked for her
    assert users(archive).count(ALICE[1]) == 2
    assert archive.faults() == []


def test_requests_that_still_run_bring_the_name_back(archive):
    seen = {
        f"r{n}": Open(Departure(f"r{n}", 5, Origin(tenant=tenant, user=user)), 1.0)
        for n, (tenant, user) in enumerate([ALICE, ALICE, ("globex", ALICE[1]), (None, "x")])
    }
    archive.ledger.commit(Change(opened=seen))
    assert count_running(archive.database, ALICE) == 2
    assert count_running(archive.database, ("", "x")) == 1
    assert count_running(archive.database, ("acme", "x")) == 0


def test_the_file_says_what_the_table_says(archive):
    file = archive.state / FILE_NAME
    assert read_file(file) == []
    erasures = [erase(archive.database, ALICE, "dpo", 7)]
    keep_file(archive.database, file)
    erasures.append(erase(archive.database, ("acme", "bob"), "dpo", 8))
    for _ in range(2):
        keep_file(archive.database, file)
        assert read_file(file) == erasures
    assert ALICE[1] not in file.read_text()


def test_a_line_that_a_full_disk_cut_off_is_written_again(archive):
    file = archive.state / FILE_NAME
    erasures = [erase(archive.database, ALICE, "dpo", 7)]
    keep_file(archive.database, file)
    erasures.append(erase(archive.database, ("acme", "bob"), "dpo", 8))
    with file.open("ab") as lines:
        lines.write(b'{"pseudonym":"u-')
    with pytest.raises(ValueError, match="truncated"):
        read_file(file)
    keep_file(archive.database, file)
    assert read_file(file) == erasures


def test_what_was_restored_forgets_again(archive):
    pseudonym = dict(books.query(archive.where, select(SUBJECT.c.name, SUBJECT.c.pseudonym)))["bob"]
    erasures = [Erasure(pseudonym, "acme", 7, "dpo"), Erasure("u-unknown", "acme", 8, "dpo")]
    assert erase_again(archive.database, erasures) == 1
    assert erase_again(archive.database, erasures) == 0
    assert len(books.query(archive.where, select(ERASURE))) == 2
    assert "bob" not in users(archive)
    archive.book("s9", user="bob")
    assert users(archive).count("bob") == 1


def bytes_of(path):
    beside = path.parent.glob(f"{path.name}*")
    return b"".join(file.read_bytes() for file in beside)


@pytest.mark.parametrize("seed", range(2))
def test_not_a_byte_of_a_name_is_left_in_the_files(tmp_path, seed):
    draw = random.Random(seed)
    path = tmp_path / "ledger.sqlite"
    with closing(Archive(path, tmp_path)) as archive:
        people = [f"person-{draw.getrandbits(64):x}-{'x' * draw.randrange(40)}" for _ in range(400)]
        for start in range(0, len(people), 40):
            some = {f"s{start + n}": user for n, user in enumerate(people[start : start + 40])}
            rows = [books.row(key, user=user) for key, user in some.items()]
            seen = {
                k: Open(Departure(k, 5, Origin(tenant="acme", user=u)), 1.0)
                for k, u in some.items()
            }
            archive.ledger.commit(Change(rows=rows, opened=seen))
            archive.ledger.commit(Change(closed=draw.sample(list(some), 35)))
        archive.ledger.commit(Change(closed=[f"s{n}" for n in range(len(people))]))
        gone = draw.sample(people, 100)
        with archive.database.transaction() as connection:
            assert sum(subjects.erase(connection, "acme", user) for user in gone) == 100
        assert wipe(archive.database)
        left = bytes_of(path)
        assert {user for user in people if user.encode() in left} == set(people) - set(gone)
        archive.sign()
        assert archive.faults() == []


def test_it_waits_for_the_settle_process_and_says_when_it_cannot(tmp_path):
    with closing(Archive(tmp_path / "ledger.sqlite", tmp_path)) as archive:
        archive.book("s1", user=ALICE[1])
        stop = threading.Event()

        def settle():
            number = 0
            while not stop.is_set():
                patiently(partial(archive.book, f"t{number}", user="bob"))
                number += 1

        settling = threading.Thread(target=settle)
        settling.start()
        try:
            assert erase(archive.database, ALICE, "dpo", 7) is not None
            assert wipe(archive.database)
        finally:
            stop.set()
            settling.join()
        assert ALICE[1].encode() not in bytes_of(tmp_path / "ledger.sqlite")
        assert archive.faults() == []


def test_postgresql_writes_names_into_new_files(postgres, tmp_path):
    with closing(Archive(postgres.new_schema(), tmp_path)) as archive:
        archive.book("s1", user=ALICE[1])
        erase(archive.database, ALICE, "dpo", 7)
        assert wipe(archive.database)
        with archive.database.transaction() as connection:
            connection.execute(text("CHECKPOINT"))
            place = text(
                "SELECT pg_relation_filepath('subject'), current_setting('data_directory')"
            )
            file, directory = connection.execute(place).one()
        assert ALICE[1].encode() not in (postgres.directory / directory / file).read_bytes()
