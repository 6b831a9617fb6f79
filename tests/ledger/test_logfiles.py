"""How far back logs go, and which of them may be deleted."""

import os

import pytest

from ledger.logfiles import begins_ms, oldest, rotated, throw_out
from ledger.tail import identify
from tests.ledger.lines import START_MS, end

HOUR_MS = 3_600_000


class Logs:
    def __init__(self, directory):
        self.access = directory / "log" / "access.jsonl"
        self.access.parent.mkdir()
        self.offsets = {}

    def write(self, name, *lines, read=True, written_ms=START_MS):
        path = self.access.with_name(name)
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        os.utime(path, (written_ms / 1000, written_ms / 1000))
        if read:
            with path.open("rb") as file:
                self.offsets[identify(file.fileno())] = path.stat().st_size
        return path

    def throw_out(self, before_ms, now_ms=START_MS + 2 * HOUR_MS):
        gone = throw_out(self.access, before_ms, self.offsets, lambda: now_ms / 1000)
        return [path.name for path in gone]


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path)


def test_a_log_begins_with_its_first_request(logs):
    first, second = end(start_ms=START_MS - 5), end("s2", start_ms=START_MS - 9)
    assert begins_ms(logs.write("access.jsonl", first, second)) == START_MS - 5
    assert begins_ms(logs.write("access.jsonl", b'torn"time": "no"', second)) == START_MS - 9
    assert begins_ms(logs.write("access.jsonl", b'{"time": "2026-01-01"}')) == START_MS


def test_what_cannot_be_read_is_as_old_as_its_last_line(logs):
    assert begins_ms(logs.write("access.jsonl.1.gz", end(start_ms=1))) == START_MS
    assert begins_ms(logs.write("access.jsonl.1", b"")) == START_MS


def test_what_belongs_to_a_log(logs):
    names = ["access.jsonl", "access.jsonl-2026.gz", "access.jsonl.1", "access.jsonlines", "x"]
    for name in names:
        logs.write(name, end())
    assert [path.name for path in rotated(logs.access)] == names[1:3]
    assert rotated(logs.access.parent / "none" / "access.jsonl") == []


def test_the_oldest_of_those_that_are_read(logs):
    assert oldest(logs.access) is None
    assert oldest(logs.access.parent / "none" / "access.jsonl") is None
    logs.write("access.jsonl", end(start_ms=START_MS))
    logs.write("access.jsonl.1", end(start_ms=START_MS - 7))
    logs.write("access.jsonl.2.gz", end(), written_ms=1000)
    logs.write("access.jsonl.3", written_ms=1000, read=False)
    assert oldest(logs.access) == (logs.access.with_name("access.jsonl.1"), START_MS - 7)


def test_old_ones_go_when_they_are_settled(logs):
    old, young = end(start_ms=START_MS - 9 * HOUR_MS), end(start_ms=START_MS - HOUR_MS)
    logs.write("access.jsonl", old)
    logs.write("access.jsonl.1", old, young)
    logs.write("access.jsonl.2", young)
    logs.write("access.jsonl.3", old, read=False)
    logs.write("access.jsonl.4.gz", b"packed", read=False)
    logs.write("access.jsonl.5", old, written_ms=START_MS + 2 * HOUR_MS - 1000)
    assert logs.throw_out(START_MS - 2 * HOUR_MS) == ["access.jsonl.1"]
    assert logs.throw_out(START_MS + 1) == ["access.jsonl.2", "access.jsonl.4.gz"]
    assert [path.name for path in rotated(logs.access)] == ["access.jsonl.3", "access.jsonl.5"]
