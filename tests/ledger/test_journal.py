import os
import signal
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.journal import (
    BadEntryError,
    JournalEntry,
    JournalWriter,
    is_complete,
    is_journal,
    read_entry,
)
from ledger.sighting import Departure, Origin
from ledger.witness import read_line
from tests.ledger.lines import START_MS, end, entry


def journal_entry(key="s1", **members):
    return JournalEntry(at=START_MS / 1000, settle_key=key, tenant="acme", model="tiny", **members)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_an_entry_is_one_line_that_reads_back(tmp_path):
    writer = JournalWriter(tmp_path, start_ns=17, pid=42)
    writer.append(journal_entry(user="ü\n"))
    writer.append(journal_entry("s2"))
    writer.close()
    assert names(tmp_path) == ["17-42-0.jsonl"]
    first, second = (tmp_path / "17-42-0.jsonl").read_bytes().splitlines()
    origin = Origin(tenant="acme", model="tiny", user="ü\n")
    assert read_entry(first) == Departure("s1", START_MS, origin)
    assert read_entry(second).key == "s2"


def test_the_contract_line_is_read():
    seen = read_entry(entry(user=None, project="", added_by_a_later_version=1))
    assert (seen.origin.user, seen.origin.project, seen.origin.pool) == (None, None, "tiny-v1")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        entry()[:-5],
        entry(""),
        entry(at=-1),
        entry(at=1e300),
        entry(tenant=7),
    ],
)
def test_what_is_no_entry_is_bad(line):
    with pytest.raises(BadEntryError):
        read_entry(line)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_reading_raises_nothing_else(line):
    with pytest.raises(BadEntryError):
        read_entry(line)


def test_the_next_file_is_opened_after_roll_bytes(tmp_path):
    size = len(msgspec.json.encode(journal_entry("s0"))) + 1
    writer = JournalWriter(tmp_path, start_ns=1, pid=2, roll_bytes=2 * size)
    for n in range(5):
        writer.append(journal_entry(f"s{n}"))
    writer.close()
    files = names(tmp_path)
    assert files == ["1-2-0.jsonl", "1-2-1.jsonl", "1-2-2.jsonl"]
    lines = [line for name in files for line in (tmp_path / name).read_bytes().splitlines()]
    keys = [read_entry(line).key for line in lines]
    assert keys == ["s0", "s1", "s2", "s3", "s4"]


def test_the_next_file_is_opened_after_an_hour(tmp_path):
    writer = JournalWriter(tmp_path, start_ns=1, pid=2)
    for second in (0, 3599, 3600, 3601, 7199, 7300):
        writer.append(JournalEntry(at=1e9 + second, settle_key=f"s{second}"))
    writer.close()
    lines = [len((tmp_path / name).read_bytes().splitlines()) for name in names(tmp_path)]
    assert lines == [3, 3, 0]


def test_when_the_next_file_cannot_be_opened_the_old_one_goes_on(tmp_path):
    writer = JournalWriter(tmp_path, start_ns=1, pid=2, roll_bytes=1)
    (tmp_path / ".1-2-1.jsonl").touch()
    writer.append(journal_entry("s0"))
    writer.append(journal_entry("s1"))
    writer.append(journal_entry("s2"))
    writer.close()
    assert len((tmp_path / "1-2-0.jsonl").read_bytes().splitlines()) == 2
    assert len((tmp_path / "1-2-2.jsonl").read_bytes().splitlines()) == 1


def test_two_writers_of_one_name_are_a_fault(tmp_path):
    JournalWriter(tmp_path, start_ns=1, pid=2).close()
    writer = JournalWriter(tmp_path, start_ns=1, pid=3)
    (tmp_path / ".1-4-0.jsonl").touch()
    with pytest.raises(FileExistsError):
        JournalWriter(tmp_path, start_ns=1, pid=4)
    writer.close()


def test_a_torn_line_spoils_no_other(tmp_path):
    writer = JournalWriter(tmp_path, start_ns=1, pid=2)
    os.write(writer._fd, b'{"at": 17')  # what a full disk leaves behind
    writer._torn = True
    writer.append(journal_entry("s2"))
    writer.close()
    torn, whole = (tmp_path / "1-2-0.jsonl").read_bytes().splitlines()
    assert read_entry(whole).key == "s2"
    with pytest.raises(BadEntryError):
        read_entry(torn)


def test_a_file_is_complete_once_its_writer_let_go(tmp_path):
    writer = JournalWriter(tmp_path, start_ns=1, pid=2)
    with (tmp_path / "1-2-0.jsonl").open("rb") as file:
        assert not is_complete(file.fileno())
        writer.close()
        assert is_complete(file.fileno())
        assert is_complete(file.fileno())


WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from ledger.journal import JournalEntry, JournalWriter
writer = JournalWriter(Path(sys.argv[1]), start_ns=1, pid=2)
writer.append(JournalEntry(at=1.0, settle_key="s1"))
print("written", flush=True)
time.sleep(60)
"""


def test_a_killed_writer_lets_go_and_its_entry_stays(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, tmp_path], stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout.readline() == b"written\n"
        with (tmp_path / "1-2-0.jsonl").open("rb") as file:
            assert not is_complete(file.fileno())
            worker.send_signal(signal.SIGKILL)
            worker.wait(30)
            assert is_complete(file.fileno())
            assert read_entry(file.readline()).key == "s1"


def test_hidden_files_are_not_read():
    assert is_journal("17-42-0.jsonl")
    assert not is_journal(".17-42-0.jsonl")
    assert not is_journal("17-42-0.txt")


def test_what_policy_and_catalog_add():
    more = {"groups": "a,b", "region": "eu", "track": "canary", "version": "v2", "n": 2}
    origin = read_entry(entry(price="1//2", **more)).origin
    assert {name: getattr(origin, name) for name in more} == more
    assert origin.price == "1//2"


def test_what_makes_no_sense_is_unknown_and_what_no_database_takes_is_replaced():
    seen = read_entry(entry("s\0", n=-1, model="\0", region=""))
    assert (seen.key, seen.origin.n, seen.origin.model) == ("s\ufffd", None, "\ufffd")
    assert seen.origin.region is None


def test_texts_are_cut_as_those_of_the_access_log_are():
    long = {"user": "u" * 10_000, "request_id": "r" * 257, "groups": "b" * 300 + ",a"}
    seen = read_entry(entry("s1", **long))
    said = {"settle_key": "s1", "user": long["user"], "groups": long["groups"].split(",")}
    logged = read_line(end(said=said, request_id=long["request_id"]), "f:0", START_MS)
    for name in long:
        assert getattr(seen.origin, name) == getattr(logged.origin, name)
    assert len(seen.origin.user) == 256
