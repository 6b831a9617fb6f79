"""Which lines belong to a moment, and that its files leave no trace in the ledger."""

from contextlib import closing

import pytest

from ledger.database import open_database
from ledger.finished import read_offsets
from ledger.journal import read_entry
from ledger.moment import Moment
from ledger.tail import Tail, rotations_of
from ledger.witness import read_line
from tests.ledger.gateway import Gateway
from tests.ledger.lines import START_MS, end, entry, periodic


@pytest.fixture
def moment(tmp_path):
    return Moment(tmp_path / "moment", START_MS + 1000)


def shown(moment):
    """Keys of the lines that are left."""
    tail = Tail(moment.access_log.parent, rotations_of(moment.access_log.name), {})
    lines = tail.poll().lines
    tail.close()
    seen = (read_line(line.text, line.place, START_MS) for line in lines)
    return sorted(each.key for each in seen if each is not None)


def test_what_had_ended_or_was_running(moment, tmp_path):
    lines = [
        end("ended", latency_us=1_000_000), end("not yet", latency_us=1_001_000),
        end("begun later", start_ms=START_MS + 1001, latency_us=None),
        periodic("ran"), periodic("ran later", start_ms=START_MS + 1001),
    ]  # fmt: skip
    log = tmp_path / "log" / "access.jsonl"
    log.parent.mkdir()
    log.write_bytes(b"\n".join([*lines, b""]))
    log.with_name("access.jsonl.1").write_bytes(end("tomorrow", start_ms=START_MS + 2000) + b"\n")
    moment.add_logs(log, {})
    assert shown(moment) == ["ended", "ran"]
    assert len(list(moment.access_log.parent.iterdir())) == 1
    assert moment.clock() == START_MS / 1000 + 1


def test_a_line_that_nobody_can_read_stays_one(moment, tmp_path):
    log = tmp_path / "access.jsonl"
    log.write_bytes(end() + b"\nnonsense\n")
    moment.add_logs(log, {})
    (path,) = moment.access_log.parent.iterdir()
    assert path.read_bytes() == log.read_bytes()


def test_what_had_begun(moment, tmp_path):
    journals = tmp_path / "theirs"
    journals.mkdir()
    at = START_MS / 1000
    lines = [entry("s1", at=at), b"torn", entry("s2", at=at + 1), entry("s3", at=at + 1.1)]
    (journals / "1-2-0.jsonl").write_bytes(b"\n".join([*lines, b""]))
    (journals / ".hidden.jsonl").write_bytes(entry())
    moment.add_journals(journals)
    moment.add_journals(tmp_path / "none")
    (path,) = moment.journals.iterdir()
    assert [read_entry(line).key for line in path.read_bytes().splitlines()] == ["s1", "s2"]


def test_the_ledger_is_told_where_to_begin_and_forgets_it(tmp_path):
    with closing(Gateway(tmp_path / "state")) as gateway:
        gateway.serve(2)
        gateway.settle()
        gateway.serve(3)
        gateway.stop()
        moment = Moment(tmp_path / "moment", gateway.now_ms - 2000)
        with closing(open_database(gateway.where, writes=True)) as database:
            with database.transaction() as connection:
                before = read_offsets(connection)
            moment.add_logs(gateway.log, before)
            moment.tell(database)
            (path,) = moment.access_log.parent.iterdir()
            tail = Tail(path.parent, rotations_of(moment.access_log.name), offsets(database))
            assert len(tail.poll().lines) == 3
            tail.close()
            assert len(offsets(database)) == len(before) + 1
            moment.forget(database, before)
            assert offsets(database) == before
        assert len(shown(moment)) == 2


def offsets(database):
    with database.transaction() as connection:
        return read_offsets(connection)
