import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from audit.journal import DIRECTORY, MOST_BYTES, AuditJournal, BadRecordError, read_record, writing
from audit.record import Record
from tests.audit.stores import record

GUARD_S = 20


def lines(state):
    return [
        line for path in sorted((state / DIRECTORY).iterdir()) for line in path.read_bytes().split(b"\n")
    ][:-1]  # fmt: skip


def test_what_is_written_is_in_the_file_at_once(tmp_path):
    journal = AuditJournal(tmp_path)
    journal.write(record(1))
    journal.write(record(2))
    assert [read_record(line) for line in lines(tmp_path)] == [record(1), record(2)]
    journal.close()


def test_nobody_else_may_read_it(tmp_path):
    with writing(tmp_path / "state") as journal:
        journal.write(record(1))
    for path in ("state", "state/audit", f"state/{DIRECTORY}"):
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o700


def test_a_record_survives_a_kill(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from audit.journal import AuditJournal\nfrom tests.audit.stores import record\n"
        "journal = AuditJournal(Path(sys.argv[1]))\njournal.write(record(7))\n"
        "print('written', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
        process.wait(GUARD_S)
    assert read_record(lines(tmp_path)[0]) == record(7)


def test_what_cannot_be_written_is_a_fault(tmp_path):
    journal = AuditJournal(tmp_path)
    with pytest.raises(OSError, match="bytes"):
        journal.write(record(1, content="x" * MOST_BYTES))
    os.close(journal._writer._fd)
    with pytest.raises(OSError, match="descriptor"):
        journal.write(record(1))


def test_a_directory_that_cannot_be_made_is_a_fault(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(OSError, match="state"):
        AuditJournal(tmp_path / "state")


async def test_it_is_synced_beside(tmp_path):
    journal = AuditJournal(tmp_path)
    task = asyncio.ensure_future(journal.run())
    journal.write(record(1))
    assert not journal._is_synced
    guard = time.monotonic() + GUARD_S
    while not journal._is_synced:
        assert time.monotonic() < guard
        await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    journal.close()


async def test_a_disk_that_cannot_be_waited_for_is_told(tmp_path, caplog):
    journal = AuditJournal(tmp_path)
    journal.write(record(1))
    os.close(journal._writer._fd)
    task = asyncio.ensure_future(journal.run())
    guard = time.monotonic() + GUARD_S
    while not caplog.records:
        assert time.monotonic() < guard
        await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert caplog.records[0].getMessage() == "audit_not_synced"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b'{"at_ms": 1, "action": "a.b"}',
        b'{"at_ms": -1, "action": "a.b", "actor": "x"}',
        b'{"at_ms": 100000000000000, "action": "a.b", "actor": "x"}',
        b'{"at_ms": 1, "action": "a.b", "actor": "x", "members": {"a": []}}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_lines_that_are_no_record(line):
    with pytest.raises(BadRecordError):
        read_record(line)


def test_a_later_version_may_add_members():
    line = msgspec.json.encode({**msgspec.to_builtins(record(1)), "more": 1})
    assert read_record(line) == record(1)
    assert isinstance(read_record(line), Record)
