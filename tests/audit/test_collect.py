"""Each record once, in order, whatever happens in between."""

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import collect as collecting
from audit.collect import LOOK_S, collect, read_to
from audit.journal import DIRECTORY, AuditJournal
from audit.reading import UNREADABLE, list_journals
from audit.tables import COLUMNS
from audit.verify import verify
from ledger.chain import entry_hash
from tests.audit.stores import START_MS, auditing, entries, reading, record, verifier_of


def test_records_come_with_all_they_say_and_a_hash(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        audit.write(1, 2)
    first, second = entries(where)
    assert (first["seq"], second["seq"]) == (1, 2)
    wanted = msgspec.structs.asdict(record(1))
    wanted["members"] = msgspec.json.encode(wanted["members"]).decode()
    assert {name: first[name] for name in wanted} == wanted
    content = [second[name] for name in COLUMNS[:-1]]
    assert entry_hash(bytes(first["hash"]), content) == bytes(second["hash"])
    assert (
        audit.registry.get_sample_value("headgate_audit_records_total", {"action": "key.revoked"})
        == 1
    )


def test_writers_are_merged_by_time(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        journals = [AuditJournal(tmp_path, roll_bytes=1000) for _ in range(2)]
        for n in range(6):
            journals[n % 2].write(record(n))
        for journal in journals:
            journal.close()
        audit.collector.run()
    assert [entry["object"] for entry in entries(where)] == [f"rule-{n}" for n in range(6)]


@pytest.mark.parametrize("later_s", [LOOK_S, -3600])
def test_files_go_when_nobody_writes_them_and_all_is_stored(where, tmp_path, later_s):
    """Also where a clock was put back: they would stay until it is as late again."""
    with auditing(where, tmp_path) as audit:
        journal = AuditJournal(tmp_path)
        journal.write(record(1))
        audit.collector.run()
        assert len(list_journals(tmp_path / DIRECTORY)) == 1
        journal.close()
        audit.now_s += later_s
        audit.collector.run()
        assert list_journals(tmp_path / DIRECTORY) == {}
    assert len(entries(where)) == 1


def test_what_is_no_record_is_told_and_what_comes_after_is_collected(where, tmp_path, caplog):
    with auditing(where, tmp_path) as audit:
        (tmp_path / DIRECTORY).mkdir(parents=True)
        good = msgspec.json.encode(record(1))
        (tmp_path / DIRECTORY / "1-1-0.jsonl").write_bytes(b"{torn\n" + good + b"\n{torn")
        audit.collector.run()
    assert [entry["action"] for entry in entries(where)] == [
        *(UNREADABLE, record(1).action, UNREADABLE)
    ]
    assert [each.getMessage() for each in caplog.records] == ["audit_unreadable"] * 2


def test_a_journal_that_comes_back_is_not_collected_again(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        journal = AuditJournal(tmp_path)
        journal.write(record(1))
        journal.close()
        shutil.copytree(tmp_path / DIRECTORY, tmp_path / "backup")
        audit.collector.run()
        shutil.copytree(tmp_path / "backup", tmp_path / DIRECTORY, dirs_exist_ok=True)
        audit.collector.run()
        assert list_journals(tmp_path / DIRECTORY) == {}
    assert len(entries(where)) == 1


def test_a_transaction_that_fails_leaves_everything_to_the_next(where, tmp_path):
    with auditing(where, tmp_path) as audit:
        journal = AuditJournal(tmp_path)
        journal.write(record(1))
        journal.close()
        names = list(list_journals(tmp_path / DIRECTORY))

        def die():
            with audit.database.transaction() as connection:
                collect(connection, tmp_path / DIRECTORY, names, START_MS)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            die()
        with audit.database.transaction() as connection:
            assert read_to(connection, names[0]) == 0
        audit.collector.run()
    assert len(entries(where)) == 1


def test_a_crowd_takes_several_commits(tmp_path):
    assert collecting.AT_ONCE >= 1000
    with auditing(tmp_path / "audit.sqlite", tmp_path) as audit:
        for first in range(0, 12_000, 6_000):
            journal = AuditJournal(tmp_path, roll_bytes=1 << 22)
            for n in range(first, first + 6_000):
                journal.write(record(n))
            journal.close()
        (tmp_path / DIRECTORY / "9-gone-0.jsonl").touch()
        audit.collector.run()
    with reading(tmp_path / "audit.sqlite") as database:
        verdict = verify(database, verifier_of(tmp_path))
    assert (verdict.records, verdict.faults) == (12_000, ())


def test_a_file_that_vanishes_meanwhile_is_no_fault(tmp_path):
    with auditing(tmp_path / "audit.sqlite", tmp_path) as audit:
        with audit.database.transaction() as connection:
            batch = collect(connection, tmp_path, ["gone.jsonl"], START_MS)
        assert (batch.found, batch.is_all) == ([], True)


def test_the_database_refuses_changes(tmp_path):
    with auditing(tmp_path / "audit.sqlite", tmp_path) as audit:
        audit.write(1)
    db = sqlite3.connect(tmp_path / "audit.sqlite")
    for statement in ("UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry"):
        with pytest.raises(sqlite3.IntegrityError, match="audit records are never"):
            db.execute(statement)
    db.close()


class Hand:
    """A writer that may be killed in the middle of a line."""

    def __init__(self, state, number):
        self.number, self.state = number, state
        self.told = [[]]
        """Of each life."""
        self.journal = AuditJournal(state, roll_bytes=300)

    @property
    def name(self):
        return f"{self.number}.{len(self.told)}"

    def write(self, n):
        which = str(len(self.told[-1]))
        self.journal.write(msgspec.structs.replace(record(n % 3), object=which, actor=self.name))
        self.told[-1].append(which)

    def die(self, torn):
        """Half a line may be left; the kernel drops the lock."""
        fd = self.journal._writer._fd
        if torn:
            os.write(fd, b'{"at_ms": 17')
        os.close(fd)
        self.journal = AuditJournal(self.state, roll_bytes=300)
        self.told.append([])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["kill", "tear"]), st.integers(0, 2)),
        st.tuples(st.sampled_from(["collect", "fail", "forget"]), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_each_record_is_there_once_and_in_the_order_of_its_writer(steps):
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        with auditing(state / "audit.sqlite", state) as audit:
            hands = [Hand(state, number) for number in range(3)]
            for n, (step, which) in enumerate(steps):
                take(audit, hands[which], step, n)
            for hand in hands:
                hand.journal.close()
            audit.now_s += LOOK_S
            audit.collector.run()
            assert list_journals(state / DIRECTORY) == {}
        found = entries(state / "audit.sqlite")
        for hand in hands:
            for life, told in enumerate(hand.told, start=1):
                name = f"{hand.number}.{life}"
                assert [each["object"] for each in found if each["actor"] == name] == told
        others = {each["action"] for each in found if each["actor"] == "headgate"}
        assert others <= {UNREADABLE}
        with reading(state / "audit.sqlite") as database:
            assert verify(database, verifier_of(state)).faults == ()


def take(audit, hand, step, n):
    if step == "write":
        hand.write(n)
    elif step in ("kill", "tear"):
        hand.die(torn=step == "tear")
    elif step == "collect":
        audit.collector.run()
    elif step == "forget":  # the settle process starts anew
        audit.collector._seen = {}
    else:  # it dies before its commit
        names = list(list_journals(audit.state / DIRECTORY))
        connection = audit.database.engine.connect()
        transaction = connection.begin()
        collect(connection, audit.state / DIRECTORY, names, START_MS)
        transaction.rollback()
        connection.close()
