"""A piece of a log comes out of a backup as it was, and at its old place."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.logparts import lay_out, lines_from, opened, pack, unpack
from ledger.tail import Tail, identify, rotations_of
from ledger.witness import read_line
from tests.ledger.lines import START_MS, anonymous, end


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log" / "access.jsonl"
    path.parent.mkdir()
    return path


def test_logs_are_held_open(log):
    with opened(log) as found:
        assert found == {}
    log.write_bytes(b"one\n")
    log.with_name("access.jsonl.1").write_bytes(b"two\n")
    log.with_name("access.jsonl.2").write_bytes(b"no end")
    log.with_name("access.jsonl.3.gz").write_bytes(b"packed\n")
    with opened(log) as found:
        assert {file.path.name for file in found.values()} == {"access.jsonl", "access.jsonl.1"}
        log.unlink()
        assert all(file_id == identify(log.file.fileno()) for file_id, log in found.items())
        assert {log.file.read(log.size) for log in found.values()} == {b"one\n", b"two\n"}
    with opened(log.parent / "none" / "access.jsonl") as found:
        assert found == {}


LINES = st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"") + b"\n"), min_size=2)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=LINES, data=st.data())
def test_a_piece_keeps_its_place(log, lines, data):
    log.write_bytes(b"".join(lines))
    first = data.draw(st.integers(0, len(lines)))
    begin, end_ = len(b"".join(lines[:first])), log.stat().st_size
    with opened(log) as found:
        (file,) = found.values()
        part = pack(file, begin, end_, log.parent.parent)
        assert list(lines_from(file, begin)) == lines[first:]
    assert (part.begin, part.end) == (begin, end_)
    laid_out = log.parent.parent / "again"
    with unpack(part, log.parent.parent) as packed:
        lay_out(packed, begin, laid_out, lambda _: True)
    content = laid_out.read_bytes()
    assert content[begin:] == b"".join(lines[first:])
    assert content[:begin].strip(b"\0") == b""


def test_what_is_not_wanted_only_takes_its_room(log):
    lines = [end("s1") + b"\n", anonymous() + b"\n", end("s2") + b"\n"]
    log.write_bytes(b"".join(lines))
    (before,) = {line.place.partition(":")[2] for line in read(log) if b'"s2"' in line.text}
    lay_out(lines, 0, log, lambda line: b'"s1"' not in line)
    found = read(log)
    seen = [read_line(line.text, line.place, START_MS) for line in found]
    assert seen[0] is None
    assert [line.text + b"\n" for line in found[1:]] == lines[1:]
    assert found[2].place.partition(":")[2] == before


def read(log):
    tail = Tail(log.parent, rotations_of(log.name), {})
    found = tail.poll().lines
    tail.close()
    return found


def test_a_line_without_its_end_is_left(log):
    log.write_bytes(b"whole\nhalf")
    with opened(log) as found:
        (file,) = found.values()
        assert list(lines_from(file, 0)) == [b"whole\n"]
