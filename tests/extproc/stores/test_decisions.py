"""Decision records on disk: found again, bounded, and never in the way of requests."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from extproc.routing.record import DecisionRecord
from extproc.stores.decisions import MOST_WAITING, DecisionFiles, find_decisions

LISTEN = "unix:/srv/run/worker-0.sock"


def record(key="k1", request_id="r1", at_s=1.0):
    return DecisionRecord(
        key, request_id, at_s, "asked", "v", "acme", "chat", "m", "stable", "p", "random", "any",
        ("a:1",),
    )  # fmt: skip


class Told(dict):
    def __call__(self, result, count):
        self[result] = self.get(result, 0) + count


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "decisions"


def write(files, *records):
    for each in records:
        files.put(each)
        files.flush()


def test_what_is_written_is_found_by_either_id(directory):
    told = Told()
    files = DecisionFiles(directory, LISTEN, told)
    write(files, record("k1", "r1", 1.0), record("k2", "r1", 3.0), record("k3", "r2", 2.0))
    assert [each.id for each in find_decisions(directory, "r1")] == ["k1", "k2"]
    assert find_decisions(directory, "k3") == [record("k3", "r2", 2.0)]
    assert find_decisions(directory, "k") == []
    assert told == {"written": 3}
    (file,) = directory.iterdir()
    assert file.name == "worker-0-sock.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600


def test_of_several_workers_and_before_a_restart(directory):
    write(DecisionFiles(directory, LISTEN), record("k1", "r", 2.0))
    write(DecisionFiles(directory, "127.0.0.1:9000"), record("k2", "r", 1.0))
    write(DecisionFiles(directory, LISTEN), record("k3", "r", 3.0))
    assert [each.id for each in find_decisions(directory, "r")] == ["k2", "k1", "k3"]
    assert len([*directory.iterdir()]) == 2


def test_a_client_may_call_its_request_anything(directory):
    odd = 'a"b\\c\n'
    write(DecisionFiles(directory, LISTEN), record(request_id=odd))
    assert len(find_decisions(directory, odd)) == 1


def test_two_files_and_no_more(directory):
    size = len(msgspec.json.encode(record("k00"))) + 1
    files = DecisionFiles(directory, LISTEN, file_bytes=10 * size)
    write(files, *(record(f"k{n:02}") for n in range(35)))
    assert sorted(each.name for each in directory.iterdir()) == [
        "worker-0-sock.jsonl", "worker-0-sock.old.jsonl",
    ]  # fmt: skip
    kept = [each.id for each in find_decisions(directory, "r1")]
    assert sorted(kept) == [f"k{n:02}" for n in range(20, 35)]


def test_lines_that_make_no_sense_are_passed_over(directory):
    write(DecisionFiles(directory, LISTEN), record("k1"))
    (file,) = directory.iterdir()
    with file.open("ab") as lines:
        lines.write(b'{"id": "k1", "of": "another version"}\n{"id": "k1", "cut')
    assert find_decisions(directory, "k1") == [record("k1")]


def test_no_directory_is_no_record(directory):
    assert find_decisions(directory, "k1") == []


def test_too_many_are_dropped_and_counted(directory):
    told = Told()
    files = DecisionFiles(directory, LISTEN, told)
    for n in range(MOST_WAITING + 5):
        files.put(record(f"k{n}"))
    assert told == {"dropped": 5}


def test_a_full_disk_is_told_once_and_harms_nobody(directory, caplog):
    told = Told()
    directory.write_text("where the directory should be")
    files = DecisionFiles(directory, LISTEN, told)
    write(files, record("k1"), record("k2"))
    assert told == {"dropped": 2}
    assert len(caplog.records) == 1
    Path(directory).unlink()
    write(files, record("k3"))
    assert told == {"dropped": 2, "written": 1}


async def test_it_writes_beside_requests_and_leaves_nothing_when_asked_to_stop(directory):
    loop, written = asyncio.get_running_loop(), asyncio.Event()
    files = DecisionFiles(directory, LISTEN, lambda *_: loop.call_soon_threadsafe(written.set))
    writing = loop.create_task(files.run(interval_s=0.01))
    files.put(record("k1"))
    await asyncio.wait_for(written.wait(), 30)
    assert find_decisions(directory, "k1")
    for n in range(250):
        files.put(record(f"late{n}", "late"))
    writing.cancel()
    await asyncio.wait([writing])
    assert len(find_decisions(directory, "late")) == 250
