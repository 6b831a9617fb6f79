"""A backup is one state of the ledger, and the log it takes to go on from the backup before."""

import os
import sqlite3
import subprocess
import threading
from contextlib import closing
from itertools import pairwise

import pytest
from sqlalchemy import select

from ledger.backup import back_up, copy, sqlite_path
from ledger.database import open_database
from ledger.finished import read_offsets
from ledger.signing import PUBLIC_NAME, load_verifier
from ledger.snapshot import LEDGER, MANIFEST, BackupError, read
from ledger.tables import REQUEST
from ledger.verify import verify
from tests.ledger import books
from tests.ledger.gateway import IN_FORCE, Gateway
from tests.postgres import programs


@pytest.fixture
def gateway(tmp_path):
    with closing(Gateway(tmp_path / "state")) as gateway:
        yield gateway


@pytest.fixture
def backups(tmp_path):
    return tmp_path / "backups"


def test_the_manifest_says_what_is_in_it(gateway, backups):
    gateway.serve(3)
    gateway.settle()
    gateway.sign()
    backup = gateway.back_up(backups)
    assert read(backup.path) == backup
    snapshot = backup.snapshot
    assert sorted(path.name for path in backup.path.iterdir()) == [
        PUBLIC_NAME, LEDGER, MANIFEST,
    ]  # fmt: skip
    assert (snapshot.entries, snapshot.seq, snapshot.log, snapshot.missed) == (3, 3, (), ())
    assert snapshot.chains["acme"].length == 3
    (in_use,) = snapshot.unfinished
    assert snapshot.offsets[in_use] == gateway.log.stat().st_size
    assert oct(backup.path.stat().st_mode)[-3:] == "700"
    with closing(open_database(backup.path / LEDGER)) as database:
        assert verify(database, load_verifier(backup.path / PUBLIC_NAME)).faults == ()
        with database.transaction() as connection:
            assert read_offsets(connection) == snapshot.offsets


def test_the_log_between_two_backups_is_in_the_later(gateway, backups):
    gateway.serve(2)
    gateway.settle()
    first = gateway.back_up(backups)
    gateway.serve(3)
    gateway.rotate()
    gateway.serve(1)
    gateway.settle()
    second = gateway.back_up(backups)
    (in_use,) = first.snapshot.unfinished
    parts = {part.file_id: (part.begin, part.end) for part in second.snapshot.log}
    assert len(parts) == 2
    assert parts[in_use][0] == first.snapshot.offsets[in_use]
    gateway.serve(1)  # not settled: it is for the next one
    assert gateway.back_up(backups).snapshot.log == ()


def test_a_log_that_is_gone_is_told(gateway, backups):
    gateway.serve(2)
    gateway.settle()
    first = gateway.back_up(backups)
    gateway.log.unlink()
    gateway.serve(2)
    gateway.settle()
    assert gateway.back_up(backups).snapshot.missed == first.snapshot.unfinished


def test_only_the_last_ones_are_kept(gateway, backups):
    gateway.settle()
    made = [gateway.back_up(backups, keep=2).path.name for _ in range(4)]
    assert sorted(path.name for path in backups.glob("*Z")) == made[2:]


def test_it_is_made_while_the_ledger_is_written(gateway, backups):
    stop = threading.Event()

    def work():
        while not stop.is_set():
            gateway.serve(3)
            gateway.step()

    gateway.serve(1)
    gateway.settle()
    working = threading.Thread(target=work)
    working.start()
    made = []
    try:
        while len(made) < 5 or made[0].snapshot.entries == made[-1].snapshot.entries:
            made.append(back_up(gateway.where, gateway.state, backups))
            assert len(made) < 100
    finally:
        stop.set()
        working.join()
    for backup in made:
        with closing(open_database(backup.path / LEDGER)) as database:
            assert verify(database, load_verifier(backup.path / PUBLIC_NAME)).faults == ()
    for before, after in pairwise(made):
        for part in after.snapshot.log:
            assert before.snapshot.offsets[part.file_id] == part.begin
            assert after.snapshot.offsets[part.file_id] == part.end


def test_what_fails_leaves_nothing(gateway, backups, tmp_path):
    with pytest.raises(BackupError, match="nothing has been settled"):
        back_up(tmp_path / "none.sqlite", gateway.state, backups)
    (tmp_path / "broken.sqlite").write_bytes(
        b"no database, but as long as its header would be" * 99
    )
    with pytest.raises(BackupError, match="cannot be copied"):
        back_up(tmp_path / "broken.sqlite", gateway.state, backups)
    assert [path.name for path in backups.iterdir()] == [".lock"]


def test_what_was_broken_off_is_in_nobody_s_way(gateway, backups):
    gateway.serve(1)
    gateway.settle()
    broken_off = backups / f".partial-{os.getpid()}"  # in a container the next one has this number
    broken_off.mkdir(parents=True)
    (broken_off / LEDGER).write_bytes(b"half of it")
    backup = gateway.back_up(backups)
    assert not broken_off.exists()
    assert backup.snapshot.entries == 1


def test_a_copy_is_one_file(gateway, tmp_path):
    gateway.serve(1)
    gateway.settle()
    copy(gateway.where, tmp_path / "copy.sqlite")
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.sqlite"]
    with closing(sqlite3.connect(tmp_path / "copy.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (1,)


def test_where_the_file_is(tmp_path):
    assert sqlite_path(tmp_path / "a") == tmp_path / "a"
    assert sqlite_path(f"sqlite:///{tmp_path}/a") == tmp_path / "a"
    for where in ("postgresql://u:secret@h/d", "sqlite://"):
        with pytest.raises(BackupError, match="pg_basebackup") as told:
            sqlite_path(where)
        assert "secret" not in str(told.value)
    with pytest.raises(BackupError, match="neither a path"):
        sqlite_path("://")


def test_postgresql_dumps_and_restores_by_its_own_means_and_logs_go_on(postgres, tmp_path):
    """What docs/ledger.md says of PostgreSQL: offsets are in the dump, the settle process catches up."""
    database = postgres.new_database()
    with closing(Gateway(tmp_path / "state", where=database)) as gateway:
        gateway.serve(3)
        gateway.refuse()
        gateway.settle()
        gateway.sign()
        dump = tmp_path / "ledger.dump"
        run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={database}")
        running = gateway.begin()
        gateway.serve(2)
        gateway.rotate()
        gateway.end(running)
        gateway.refuse()
        gateway.settle()
        before = gateway.rows()
        gateway.stop()
        gateway.where = postgres.new_database()
        run("pg_restore", f"--dbname={gateway.where}", str(dump))
        statement = select(*IN_FORCE).order_by(REQUEST.c.settle_key)
        assert len(books.query(gateway.where, statement)) == 4
        gateway.settle()
        assert gateway.rows() == before
        gateway.stop()
        with closing(open_database(gateway.where)) as restored:
            assert verify(restored, load_verifier(gateway.state / PUBLIC_NAME)).faults == ()


def run(program, *arguments):
    done = subprocess.run([programs() / program, *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
