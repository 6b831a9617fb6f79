"""A name is taken out of logs in place: nobody else's, and nothing else changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.memory import MemoryLedger
from ledger.scrub import find, scrub
from ledger.settle import Pace
from ledger.sighting import clean
from ledger.witness import read_line
from tests.ledger.lines import START_MS, WHAT, WHO, anonymous, end
from tests.ledger.test_settle import Process

ALICE = ("acme", "alice")


def line(key="s1", user="alice", tenant="acme", **members):
    return end(
        key, said={"settle_key": key, **WHO, **WHAT, "tenant": tenant, "user": user}, **members
    )


@pytest.fixture
def process(tmp_path):
    process = Process(tmp_path, MemoryLedger())
    yield process
    process.settler.close()


def settle(process):
    while process.settler.step() is not Pace.CAUGHT_UP:
        pass


def write(path, *lines):
    with path.open("ab") as log:
        log.write(b"".join(each + b"\n" for each in lines))


def scrubbed(process, person=ALICE):
    found = scrub(process.log, process.ledger.offsets(), person)
    return [(each.file, each.lines, each.unread) for each in found]


def test_only_that_person_and_only_what_was_read(process):
    others = [line("s2", "bob"), line("s3", tenant="globex"), anonymous()]
    write(process.log, line("s1"), *others, line("s4", request_id="alice"))
    settle(process)
    write(process.log, line("s5"))
    before = process.log.read_bytes()
    assert scrubbed(process) == [("access.jsonl", 2, 1)]
    after = process.log.read_bytes()
    assert len(after) == len(before)
    first, *rest, last, unread = after.splitlines()
    assert (rest, unread) == (others, line("s5"))
    for changed, was in ((first, line("s1")), (last, line("s4", request_id="alice"))):
        said, expected = json.loads(changed), json.loads(was)
        expected["headgate"]["user"] = ""
        assert said == expected
        assert read_line(changed, "f:0", START_MS).origin.user is None


def test_what_rotation_made_of_it_too(process):
    write(process.log, line("s1", "bob"), line("s2"))
    settle(process)
    process.log.rename(process.log.with_name("access.jsonl.1"))
    write(process.log, line("s3", "bob"))
    write(process.log.with_name("access.jsonl.2.gz"), line("s4"))
    settle(process)
    assert scrubbed(process) == [("access.jsonl.1", 1, 0)]
    assert scrubbed(process) == []


def test_nothing_is_counted_twice_when_a_first_line_changes(process):
    write(process.log, line("s1"), line("s2", "bob"))
    settle(process)
    rows = process.ledger.all_rows()
    assert scrubbed(process) == [("access.jsonl", 1, 0)]
    write(process.log, line("s3"))
    settle(process)
    assert {key: process.ledger.all_rows()[key] for key in rows} == rows
    assert len(process.ledger.entries()) == 3
    process.start()
    settle(process)
    assert len(process.ledger.entries()) == 3
    assert scrubbed(process) == [("access.jsonl", 1, 0)]


def test_without_a_log_there_is_nothing_to_do(tmp_path):
    assert list(scrub(tmp_path / "none" / "access.jsonl", {}, ALICE)) == []


@given(st.text(min_size=1, max_size=40), st.booleans(), st.sampled_from(["acme", None]))
def test_however_json_spells_the_name(user, ascii_only, tenant):
    said = {"user": user} | ({"tenant": tenant} if tenant else {})
    text = json.dumps({"type": "DownstreamEnd", "headgate": said}, ensure_ascii=ascii_only)
    raw = text.encode("utf-8", "surrogatepass")
    place = find(raw, (tenant or "", clean(user)))
    assert place is not None
    begin, length = place
    raw = raw[:begin] + b'""'.ljust(length) + raw[begin + length :]
    assert json.loads(raw)["headgate"] == {**said, "user": ""}


@pytest.mark.parametrize(
    "raw",
    [
        b'{"user": "alice", "tenant": "globex"}', b'{"user": "alice"}', b'{"user": "alicia"}',
        b'{"users": "alice", "tenant": "acme"}', b'{"user": "\\ud800", "tenant": "acme"}', b'{"user": "\xff"}',
    ],
)  # fmt: skip
def test_who_it_is_not(raw):
    assert find(raw, ALICE) is None
