import os
import shutil
import threading

import pytest
from prometheus_client import CollectorRegistry

from ledger.journal import JournalEntry, JournalWriter
from ledger.memory import MemoryLedger
from ledger.settle import Pace, Settler
from ledger.store import LedgerUnavailableError
from telemetry.metrics import SettleMetrics
from tests.ledger.lines import START_MS, anonymous, end, entry, periodic

LEASE_S = 60


class Clock:
    def __init__(self):
        self.now_s = START_MS / 1000 + 1

    def __call__(self):
        return self.now_s


class MoodyLedger:
    """A ledger that does nothing while it is `down`, and cannot write while it is `full`.

    With `loses` set, the next commit is stored and its answer is lost; whatever `intrudes` is
    called once, before a commit.
    """

    def __init__(self, ledger):
        self.ledger = ledger
        self.down = False
        self.full = False
        self.loses = False
        self.before_commit = lambda: None
        self.refused = threading.Event()
        self.committed = threading.Event()

    def __getattr__(self, name):
        self._refuse(self.down)
        return getattr(self.ledger, name)

    def commit(self, change):
        self._refuse(self.down or self.full)
        self.before_commit()
        self.ledger.commit(change)
        self.committed.set()
        loses, self.loses = self.loses, False
        self._refuse(loses)

    def _refuse(self, refused):
        if refused:
            self.refused.set()
            raise LedgerUnavailableError("database is locked")


class Process:
    """A settle process that can be killed and started again on the same files and ledger."""

    def __init__(self, directory, ledger=None):
        self.log = directory / "log" / "access.jsonl"
        self.journal = directory / "journal"
        self.log.parent.mkdir()
        self.journal.mkdir()
        self.ledger = MoodyLedger(ledger or MemoryLedger())
        self.clock = Clock()
        self.settler = None
        self.start()

    def start(self):
        if self.settler is not None:
            self.settler.close()
        self.registry = CollectorRegistry()
        self.settler = Settler(
            self.log, self.journal, self.ledger, SettleMetrics(self.registry), LEASE_S, self.clock
        )

    def write(self, *lines):
        with self.log.open("ab") as log:
            log.write(b"".join(line + b"\n" for line in lines))

    def record(self, *lines, name="1-1-0.jsonl"):
        with (self.journal / name).open("ab") as journal:
            journal.write(b"".join(line + b"\n" for line in lines))

    @property
    def rows(self):
        return self.ledger.all_rows()

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"headgate_{name}", labels)


@pytest.fixture
def process(tmp_path):
    process = Process(tmp_path)
    yield process
    process.settler.close()


def journals(process):
    return sorted(path.name for path in process.journal.iterdir())


def test_a_request_from_departure_to_row(process):
    process.record(entry())
    assert process.settler.step() is Pace.CAUGHT_UP
    assert process.metric("requests_in_flight", model="tiny") == 1
    process.write(periodic(), end())
    process.settler.step()
    assert process.rows["s1"].prompt_tokens == 7
    assert process.metric("requests_in_flight", model="tiny") == 0
    assert process.metric("requests_total", tenant="acme", model="tiny", status="200") == 1


def test_nothing_to_do_commits_nothing(process):
    process.ledger.full = True
    assert process.settler.step() is Pace.CAUGHT_UP


def test_bad_lines_are_counted_and_passed_over(process):
    process.write(b"garbage", end(), b"{}")
    process.record(b"{", b"", entry("s2"))
    process.settler.step()
    assert set(process.rows) == {"s1"}
    assert process.metric("log_lines_bad_total", source="log") == 2
    assert process.metric("log_lines_bad_total", source="journal") == 1


def test_a_ledger_that_is_down_delays_and_loses_nothing(process):
    process.record(entry())
    process.write(end(), anonymous())
    process.ledger.down = True
    assert [process.settler.step() for _ in range(3)] == [Pace.BLOCKED] * 3
    assert process.metric("ledger_faults_total") == 3
    assert process.metric("requests_total", tenant="acme", model="tiny", status="200") is None
    process.write(end("s2"))
    process.ledger.down = False
    process.settler.step()
    process.settler.step()
    assert len(process.rows) == 3
    assert process.metric("requests_total", tenant="acme", model="tiny", status="200") == 2


def test_a_ledger_that_is_down_at_the_start_is_waited_for(process):
    process.record(entry())
    process.settler.step()
    process.ledger.down = True
    process.start()
    assert process.settler.step() is Pace.BLOCKED
    process.write(end())
    process.ledger.down = False
    process.settler.step()
    assert set(process.rows) == {"s1"}
    assert process.metric("requests_in_flight", model="tiny") == 0


def test_open_requests_survive_a_restart(process):
    process.record(entry())
    process.settler.step()
    process.start()
    assert process.metric("requests_in_flight", model="tiny") == 1
    process.write(end())
    process.settler.step()
    assert not process.rows["s1"].unsettled
    assert process.ledger.open_requests() == {}


def test_after_a_long_absence_the_log_is_read_before_leases_are_judged(process):
    process.record(entry())
    process.settler.step()
    process.clock.now_s += 600
    process.write(*(periodic("other") for _ in range(4_000)), periodic("s1"))
    process.start()
    assert process.settler.step() is Pace.MORE
    while process.settler.step() is Pace.MORE:
        pass
    assert not process.rows
    process.clock.now_s += LEASE_S + 1
    process.settler.step()
    assert process.rows["s1"].unsettled
    assert process.metric("unsettled_total") == 2
    assert process.metric("requests_in_flight", model="tiny") == 0


def test_a_late_end_settles_after_all(process):
    process.record(entry())
    process.settler.step()
    process.clock.now_s += LEASE_S + 1
    process.settler.step()
    process.write(end())
    process.settler.step()
    assert not process.rows["s1"].unsettled
    assert process.metric("requests_total", tenant="acme", model="tiny", status="200") == 1


def test_a_journal_file_goes_when_its_worker_let_go_and_it_is_used_up(process):
    writer = JournalWriter(process.journal, start_ns=1, pid=1)
    writer.append(JournalEntry(at=process.clock.now_s, settle_key="s1"))
    process.settler.step()
    process.clock.now_s += 1
    process.settler.step()
    assert journals(process) == ["1-1-0.jsonl"]
    writer.close()
    process.clock.now_s += 1
    process.settler.step()
    assert journals(process) == []
    process.clock.now_s += 1
    process.settler.step()
    assert process.ledger.offsets() == {}
    assert set(process.ledger.open_requests()) == {"s1"}


def test_an_empty_or_torn_journal_file_goes_too(process):
    (process.journal / "1-1-0.jsonl").touch()
    (process.journal / "2-1-0.jsonl").write_bytes(entry() + b'\n{"at": 17')
    process.settler.step()
    assert journals(process) == []
    assert process.metric("log_lines_bad_total", source="journal") == 1


def test_a_journal_file_stays_until_it_is_committed(process):
    process.record(entry())
    process.ledger.full = True
    process.settler.step()
    assert journals(process) == ["1-1-0.jsonl"]
    process.ledger.full = False
    process.settler.step()
    assert journals(process) == []
    assert set(process.ledger.open_requests()) == {"s1"}


def test_a_line_written_after_the_last_look_is_not_deleted(process):
    process.record(entry("s1"))
    process.ledger.before_commit = lambda: process.record(entry("s2"))
    process.settler.step()
    assert journals(process) == ["1-1-0.jsonl"]
    process.ledger.before_commit = lambda: None
    process.clock.now_s += 1
    process.settler.step()
    assert set(process.ledger.open_requests()) == {"s1", "s2"}
    assert journals(process) == []


def test_truncation_is_told_and_counts_nothing_twice(process, caplog):
    process.write(end("s1"), end("s2"))
    process.settler.step()
    process.log.write_bytes(end("s2") + b"\n")
    process.settler.step()
    assert set(process.rows) == {"s1", "s2"}
    assert process.metric("requests_total", tenant="acme", model="tiny", status="200") == 2
    assert "file_truncated" in caplog.messages


def test_a_truncated_file_that_begins_as_before_keeps_its_new_offset(process):
    process.write(end("s1"), end("s2"), end("s3"))
    process.settler.step()
    process.log.write_bytes(end("s1") + b"\n" + end("s4") + b"\n")
    process.settler.step()
    assert list(process.ledger.offsets().values()) == [process.log.stat().st_size]
    assert set(process.rows) == {"s1", "s2", "s3", "s4"}


def copy_and_truncate(log):
    """What logrotate's `copytruncate` does."""
    shutil.copy(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_copied_log_counts_nothing_twice(process, is_running):
    process.write(end("s1"), anonymous(), anonymous(), anonymous(status=400))
    process.settler.step()
    before = process.rows
    assert len(before) == 4
    copy_and_truncate(process.log)
    if not is_running:
        process.start()
    process.settler.step()
    assert process.rows == before
    process.write(anonymous(start_ms=START_MS + 1), end("s2"))
    process.settler.step()
    assert len(process.rows) == 6, "what comes after the copy counts"
    if is_running:
        assert process.metric("requests_total", tenant="acme", model="tiny", status="200") == 2


def test_what_was_copied_before_it_was_read_counts_once(process):
    process.write(end("s1"), anonymous(), anonymous())
    copy_and_truncate(process.log)
    process.write(anonymous(start_ms=START_MS + 1))
    process.settler.step()
    assert len(process.rows) == 4


def test_a_commit_whose_answer_was_lost_counts_once(process):
    process.record(entry("s1"), entry("s2"))
    process.write(end("s1"))
    process.ledger.loses = True
    assert process.settler.step() is Pace.BLOCKED
    assert set(process.rows) == {"s1"}
    process.write(end("s2"))
    process.settler.step()
    assert process.metric("ledger_entries_total") == 1
    assert process.metric("requests_in_flight", model="tiny") == 1
    process.settler.step()
    assert len(process.ledger.entries()) == 2
    assert process.metric("ledger_entries_total") == 2
    assert process.metric("requests_total", tenant="acme", model="tiny", status="200") == 2
    assert process.metric("ledger_corrections_total") == 0


def test_a_commit_that_failed_is_done_again(process):
    process.write(end("s1"))
    process.ledger.full = True
    assert process.settler.step() is Pace.BLOCKED
    process.ledger.full = False
    process.settler.step()
    assert len(process.ledger.entries()) == 1


def test_whoever_wrote_meanwhile_is_believed(process, caplog):
    process.write(end("s1"))
    process.settler.step()
    process.write(end("s2"), end("s3"))
    other = Settler(
        process.log, process.journal, process.ledger, SettleMetrics(CollectorRegistry())
    )
    other.step()
    other.close()
    assert process.settler.step() is Pace.MORE
    assert "ledger_moved" in caplog.messages
    assert process.settler.step() is Pace.CAUGHT_UP
    assert len(process.ledger.entries()) == 3
    process.write(end("s4"))
    process.settler.step()
    assert len(process.ledger.entries()) == 4


def test_a_correction_is_counted(process):
    process.record(entry())
    process.settler.step()
    process.clock.now_s += LEASE_S + 1
    process.settler.step()
    process.write(end())
    process.settler.step()
    assert process.metric("ledger_entries_total") == 3
    assert process.metric("ledger_corrections_total") == 1


def test_it_tells_until_when_everything_is_settled(process):
    """The time of the reading, not of the commit: what came in between may not be in it."""
    process.settler.step()
    first_s = process.settler.settled_until_s
    assert first_s == process.clock.now_s
    process.write(end("s1"))
    process.ledger.full = True
    process.clock.now_s += 5
    assert process.settler.step() is Pace.BLOCKED
    assert process.settler.settled_until_s == first_s
    process.ledger.full = False
    process.clock.now_s += 5
    process.settler.step()
    assert process.settler.settled_until_s == first_s + 5
    process.settler.step()
    assert process.settler.settled_until_s == first_s + 10


def test_who_is_vouched_for_while_the_ledger_is_down_is_not_given_up(tmp_path):
    """What was read before it went down says nothing of who has lived since."""
    process = Process(tmp_path)
    process.record(entry("s1"))
    process.settler.step()
    process.write(end("other"))
    process.ledger.down = True
    for _ in range(8):
        assert process.settler.step() is Pace.BLOCKED
        process.clock.now_s += 10
        process.write(periodic("s1"))
    process.ledger.down = False
    while process.settler.step() is not Pace.CAUGHT_UP:
        pass
    assert list(process.ledger.open_requests()) == ["s1"]
    process.write(end("s1"))
    process.settler.step()
    assert not process.rows["s1"].unsettled
    assert process.metric("ledger_corrections_total") == 0
    process.settler.close()
