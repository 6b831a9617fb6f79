"""What is written down of a request before it leaves."""

import json
import os
import time

import pytest

from extproc.request import Body, Identity, Kind, Model, Operation, Prompt
from extproc.stores.journal import FileJournal
from ledger.journal import read_entry
from ledger.sighting import clean
from tests.extproc.requests import BARE, bare


def request(identity, settle_key="k1", request_id="r1"):
    return (
        bare(settle_key=settle_key, request_id=request_id, headers={"authorization": "s3"})
        .having(Operation(Kind.COMPLETIONS))
        .having(identity)
        .having(Body(b'{"prompt":"s3cret"}'))
        .having(Prompt({"prompt": "s3cret"}, "alias", stream=True))
        .having(Model("m", "pool-a", "org/m"))
    )


def lines(directory):
    return [line for path in sorted(directory.iterdir()) for line in path.read_bytes().splitlines()]


def test_an_entry(tmp_path):
    journal = FileJournal(tmp_path)
    before = time.time()
    journal.record(request(Identity("acme", "key-1", "support", "ann")), "v1")
    (line,) = lines(tmp_path)
    entry = json.loads(line)
    assert before <= entry.pop("at") <= time.time()
    assert entry == {
        "settle_key": "k1",
        "request_id": "r1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "operation": "completions",
        "tenant": "acme",
        "project": "support",
        "user": "ann",
        "key_id": "key-1",
        "model": "m",
        "pool": "pool-a",
        "stream": True,
        "policy": "v1",
        "track": "stable",
        "version": "1",
    }
    assert b"s3" not in line, "neither prompt nor key is kept"
    journal.close()


def test_what_the_ledger_needs_to_bill_is_there(tmp_path):
    journal = FileJournal(tmp_path)
    who = Identity("acme", "key-1", groups=frozenset({"b", "a"}), region="eu")
    asked = request(who).having(Prompt({}, "alias", n=3))
    journal.record(asked.having(Model("m", "p", "m", "canary", "2", "0.5/0.1/1")), "v1")
    journal.close()
    (line,) = lines(tmp_path)
    entry = json.loads(line)
    billed = {"groups": "a,b", "region": "eu", "n": 3, "track": "canary", "price": "0.5/0.1/1"}
    assert billed.items() <= entry.items()


def test_a_group_with_commas_in_its_name_stays_one(tmp_path):
    """As LDAP has them. The settle process takes the list apart at commas."""
    journal = FileJournal(tmp_path)
    who = Identity("acme", "jwt:sso", groups=frozenset({"cn=ops,dc=acme", "cn=dev,dc=acme"}))
    journal.record(request(who), "v1")
    journal.close()
    (line,) = lines(tmp_path)
    assert read_entry(line).origin.groups == "cn=dev;dc=acme,cn=ops;dc=acme"
    assert who.witness()["groups"] == "cn=dev;dc=acme,cn=ops;dc=acme"


def test_what_a_key_does_not_say_is_absent(tmp_path):
    journal = FileJournal(tmp_path)
    journal.record(request(Identity("acme", "key-1")), "v1")
    journal.close()
    (line,) = lines(tmp_path)
    assert not {"project", "user"} & set(json.loads(line))


@pytest.mark.parametrize("request_id", ["", "a\nb", '"', "\u00ff", "\x00", "r" * 60_000])
def test_an_entry_is_one_line_whatever_the_client_calls_its_request(tmp_path, request_id):
    journal = FileJournal(tmp_path)
    for key in ("k1", "k2"):
        journal.record(request(Identity("acme", "key-1"), key, request_id), "v1")
    journal.close()
    departures = [read_entry(line) for line in lines(tmp_path)]
    assert [departure.key for departure in departures] == ["k1", "k2"]
    assert {departure.origin.request_id for departure in departures} == {clean(request_id) or None}


def test_each_journal_has_a_file_of_its_own(tmp_path):
    journals = [FileJournal(tmp_path) for _ in range(3)]
    for journal in journals:
        journal.close()
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 3
    assert all(f"-{os.getpid()}-" in name for name in names)


def test_without_the_directory_there_is_no_journal(tmp_path):
    with pytest.raises(OSError, match="gone"):
        FileJournal(tmp_path / "gone")


def test_a_request_that_was_not_decided_is_a_bug(tmp_path):
    journal = FileJournal(tmp_path)
    with pytest.raises(KeyError):
        journal.record(BARE, "v1")
    journal.close()
    assert lines(tmp_path) == []
