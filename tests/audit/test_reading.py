import fcntl

import pytest

from audit.journal import DIRECTORY, AuditJournal
from audit.reading import READ_BYTES, UNREADABLE, count_waiting, list_journals, read_on
from tests.audit.stores import START_MS, record


def journal_file(directory):
    ((name, _),) = list_journals(directory).items()
    return directory / name


def test_lines_are_read_on_while_they_are_written(tmp_path):
    journal = AuditJournal(tmp_path)
    path = journal_file(tmp_path / DIRECTORY)
    journal.write(record(1))
    first = read_on(path, 0, START_MS)
    journal.write(record(2))
    second = read_on(path, first.end, START_MS)
    assert [each.record for each in first.found + second.found] == [record(1), record(2)]
    assert (first.is_over, second.is_over) == (False, False)
    journal.close()
    assert read_on(path, second.end, START_MS).is_over


def test_a_line_that_is_not_finished_waits_until_its_writer_is_gone(tmp_path):
    path = tmp_path / "1-1-0.jsonl"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(b'{"at_ms": 1')
        file.flush()
        waiting = read_on(path, 0, START_MS)
    assert (waiting.found, waiting.end, waiting.has_all, waiting.is_over) == ([], 0, True, False)
    torn = read_on(path, 0, START_MS)
    (found,) = torn.found
    assert (found.record.action, found.is_bad, found.place) == (UNREADABLE, True, 11)
    assert (found.record.object, found.record.members["bytes"]) == (path.name, 11)
    assert torn.is_over


@pytest.mark.parametrize("filler", [b"x", b"\n"])
def test_what_never_ends_is_read_in_pieces(tmp_path, filler):
    path = tmp_path / "1-1-0.jsonl"
    path.write_bytes(filler * (READ_BYTES + 10) + b"\n")
    first = read_on(path, 0, START_MS)
    assert [each.is_bad for each in first.found] == [True]
    assert (first.end, first.has_all, first.is_over) == (READ_BYTES, False, False)
    assert read_on(path, first.end, START_MS).is_over


def test_places_are_where_lines_end(tmp_path):
    path = tmp_path / "1-1-0.jsonl"
    path.write_bytes(b"\n\nbad\r1\n\nbad2")
    read = read_on(path, 0, START_MS)
    assert [each.place for each in read.found] == [8, 13]
    assert read.end == 13


def test_only_journals_are_listed(tmp_path):
    assert list_journals(tmp_path / "none") == {}
    for name in ("2-1-0.jsonl", "1-1-0.jsonl", ".3-1-0.jsonl", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert list(list_journals(tmp_path)) == ["1-1-0.jsonl", "2-1-0.jsonl"]


def test_what_waits_is_counted(tmp_path):
    journal = AuditJournal(tmp_path)
    for n in range(3):
        journal.write(record(n))
    path = journal_file(tmp_path / DIRECTORY)
    first_end = path.read_bytes().find(b"\n") + 1
    assert count_waiting(tmp_path / DIRECTORY, lambda _name: 0) == 3
    assert count_waiting(tmp_path / DIRECTORY, lambda _name: first_end) == 2
    journal.close()
