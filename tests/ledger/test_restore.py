"""After a loss the ledger is what it was: nothing is missing, nothing is there twice, all is signed."""

import random
import shutil
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ledger import erasure
from ledger.database import open_database
from ledger.erasure import keep_file
from ledger.roots import FILE_NAME
from ledger.signing import PRIVATE_NAME, PUBLIC_NAME, load_signer
from ledger.snapshot import LEDGER, BackupError
from ledger.store import LedgerError
from ledger.tables import OPEN_REQUEST, REQUEST, SUBJECT
from tests.ledger import books
from tests.ledger.gateway import Gateway


@pytest.fixture
def gateway(tmp_path):
    with closing(Gateway(tmp_path / "state")) as gateway:
        yield gateway


@pytest.fixture
def backups(tmp_path):
    return tmp_path / "backups"


def lose(gateway):
    gateway.stop()
    for suffix in ("", "-wal", "-shm"):
        gateway.where.with_name(f"ledger.sqlite{suffix}").unlink(missing_ok=True)


def test_what_came_after_the_backup_comes_from_the_log(gateway, backups):
    gateway.serve(5)
    gateway.settle()
    gateway.sign()
    gateway.back_up(backups)
    gateway.serve(4)
    gateway.settle()
    gateway.sign()
    before = gateway.rows()
    gateway.serve(3)  # and these had not been settled yet
    lose(gateway)
    done = gateway.restore(backups)
    assert (done.entries, done.replayed, done.complete, done.aside) == (5, 7, True, None)
    assert done.own_key
    assert gateway.rows()[:9] == before
    assert len(gateway.rows()) == 12
    assert gateway.faults() == ()
    gateway.serve(2)
    gateway.settle()
    assert len(gateway.rows()) == 14


STEPS = st.lists(
    st.sampled_from(["serve", "begin", "end", "refuse", "step", "rotate", "back up", "sign"]),
    min_size=5,
    max_size=50,
)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, seed=st.integers(0, 99))
def test_whenever_it_is_lost_nothing_is_missing_and_nothing_is_twice(steps, seed, tmp_path_factory):
    draw = random.Random(seed)
    directory = tmp_path_factory.mktemp("loss")
    with closing(Gateway(directory / "state")) as gateway:
        gateway.settle()
        gateway.back_up(directory / "backups")
        open_ = []
        for step in steps:
            match step:
                case "serve":
                    gateway.serve(draw.randrange(5))
                case "begin":
                    open_.append(gateway.begin())
                case "end" if open_:
                    gateway.end(open_.pop(draw.randrange(len(open_))))
                case "refuse":
                    gateway.refuse()
                case "step":
                    gateway.step()
                case "rotate" if gateway.log.exists():
                    gateway.rotate()
                case "back up":
                    gateway.back_up(directory / "backups", keep=2)
                case "sign":
                    gateway.sign()
        lose(gateway)
        assert gateway.restore(directory / "backups").complete
        found = gateway.rows()
        assert gateway.faults() == ()
        # Had nothing happened, the settle process would have come to the same.
        lose(gateway)
        gateway.settle()
        assert found == gateway.rows()


def test_as_it_was_at_a_moment(gateway, backups, tmp_path):
    times = []
    for part in range(4):
        gateway.serve(3)
        gateway.refuse()
        gateway.settle()
        gateway.back_up(backups) if part != 1 else None
        gateway.rotate()
        gateway.serve(2)
        gateway.settle()
        times.append((gateway.now_ms, gateway.rows()))
        gateway.begin()
    for path in gateway.log.parent.iterdir():
        if path.name.startswith("access.jsonl."):
            path.unlink()  # long rotated away: the backups have it
    for number, (at_ms, rows) in enumerate(times[:3]):
        state = tmp_path / f"then{number}"
        done = gateway.restore(backups, at_ms, state)
        assert gateway.rows(state) == rows
        assert (gateway.faults(state), done.complete) == ((), True)
        assert not done.own_key


def test_what_was_running_at_that_moment_still_runs(gateway, backups):
    gateway.settle()
    gateway.back_up(backups)
    running = gateway.begin()
    at_ms = gateway.now_ms + 100
    gateway.end(running)
    later = gateway.begin()
    gateway.end(later)
    gateway.settle()
    lose(gateway)
    gateway.restore(backups, at_ms)
    assert gateway.rows() == []
    assert [key for key, *_ in books.query(gateway.where, select(OPEN_REQUEST))] == [running]
    gateway.settle()  # with the next start of the settle process it is now again
    assert [row[0] for row in gateway.rows()] == [running, later]
    assert gateway.faults() == ()


def test_on_another_machine_with_copies_of_the_logs(gateway, backups, tmp_path):
    gateway.serve(6)
    gateway.settle()
    gateway.back_up(backups)
    gateway.serve(2)
    gateway.settle()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(gateway.log.parent, other / "log")
    done = gateway.restore(backups, state=other)
    assert (done.replayed, done.complete, done.own_key) == (2, True, False)
    assert gateway.rows(other) == gateway.rows()
    assert gateway.faults(other) == ()
    assert load_signer(other).key_id != load_signer(gateway.state).key_id


def test_without_the_log_it_is_said_what_is_missing(gateway, backups):
    gateway.serve(2)
    gateway.settle()
    gateway.back_up(backups)
    gateway.serve(2)
    gateway.settle()
    lose(gateway)
    gateway.log.unlink()
    done = gateway.restore(backups)
    assert (done.complete, done.replayed) == (False, 0)
    assert len(gateway.rows()) == 2


def test_what_is_there_is_set_aside(gateway, backups):
    gateway.serve(2)
    gateway.settle()
    gateway.sign()
    gateway.back_up(backups)
    gateway.serve(1)
    gateway.settle()
    gateway.sign()
    gateway.stop()
    lost = gateway.rows(), (gateway.state / FILE_NAME).read_text()
    done = gateway.restore(backups)
    assert gateway.rows() == lost[0]
    aside = gateway.state / done.aside
    assert len(books.query(aside, select(REQUEST))) == 3
    stamp = done.aside.removeprefix("ledger.sqlite")
    assert (gateway.state / f"{FILE_NAME}{stamp}").read_text() == lost[1]
    assert gateway.faults() == ()


def test_not_while_a_settle_process_holds_the_ledger(gateway, backups):
    gateway.serve(1)
    gateway.settle()
    gateway.back_up(backups)
    with pytest.raises(LedgerError, match="another settle process"):
        gateway.restore(backups)
    gateway.serve(1)
    gateway.settle()
    assert len(gateway.rows()) == 2


def spoil_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_backup_that_was_changed_is_not_used(gateway, backups):
    gateway.serve(3)
    gateway.settle()
    gateway.sign()
    backup = gateway.back_up(backups)
    gateway.stop()
    spoil_byte(backup.path / LEDGER)
    (gateway.state / ".restore-1" / "moment").mkdir(parents=True)  # one that was killed
    before = gateway.rows()
    with pytest.raises(BackupError, match="SHA-256"):
        gateway.restore(backups)
    assert gateway.rows() == before
    assert [path.name for path in gateway.state.glob(".restore*")] == []


def test_a_backup_of_somebody_else_is_not_used(gateway, backups, tmp_path):
    with closing(Gateway(tmp_path / "theirs")) as theirs:
        theirs.serve(2)
        theirs.settle()
        theirs.sign()
        theirs.back_up(backups)
    gateway.serve(1)
    gateway.settle()
    gateway.sign()
    gateway.stop()
    with pytest.raises(BackupError, match="not signed by a key we know"):
        gateway.restore(backups)
    done = gateway.restore(backups, key=tmp_path / "theirs" / PUBLIC_NAME)
    assert done.own_key


def test_whoever_was_erased_stays_erased(gateway, backups):
    gateway.serve(3)
    gateway.settle()
    backup = gateway.back_up(backups)
    with closing(open_database(gateway.where, writes=True)) as database:
        assert erasure.erase(database, ("acme", "u1"), "dpo", 1)
        keep_file(database, gateway.state / erasure.FILE_NAME)
    lose(gateway)
    gateway.log.unlink()
    done = gateway.restore(backups)
    assert done.erased == 1
    assert books.query(gateway.where, select(SUBJECT)) == []
    assert b"u1" in (backup.path / LEDGER).read_bytes()
    assert gateway.faults() == ()


def test_without_knowing_who_was_erased_nothing_is_restored(gateway, backups):
    gateway.serve(1)
    gateway.settle()
    gateway.back_up(backups)
    lose(gateway)
    (gateway.state / erasure.FILE_NAME).write_bytes(b'{"pseudonym":"u-')
    with pytest.raises(BackupError, match="does not say who was erased"):
        gateway.restore(backups)
    assert not gateway.where.exists()


def test_a_private_key_is_never_in_a_backup(gateway, backups):
    gateway.serve(1)
    gateway.settle()
    gateway.sign()
    gateway.back_up(backups)
    assert (gateway.state / PRIVATE_NAME).exists()
    assert list(backups.rglob(PRIVATE_NAME)) == []


def test_another_version_is_left_to_its_program(gateway, backups):
    gateway.settle()
    load_signer(gateway.state)
    manifest = gateway.back_up(backups).path / "manifest.json"
    gateway.stop()
    manifest.write_text(manifest.read_text().replace('"ledger_version": 2', '"ledger_version": 9'))
    with pytest.raises(BackupError, match="ledger version 9"):
        gateway.restore(backups)
