"""One contract, every ledger."""

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ledger import subjects
from ledger.database import open_database
from ledger.journal import read_entry
from ledger.memory import MemoryLedger
from ledger.row import Row, close, give_up
from ledger.sighting import Origin
from ledger.sql import open_ledger
from ledger.store import Change, LedgerMovedError, Open
from ledger.tables import REQUEST
from ledger.witness import read_line
from tests.ledger import books
from tests.ledger.lines import START_MS, anonymous, end, entry, periodic


class InMemory:
    def __init__(self):
        self.ledger = MemoryLedger()

    def entries(self):
        return self.ledger.entries()

    def in_force(self):
        return self.ledger.all_rows()

    def erase(self, tenant, user):
        return self.ledger.erase(tenant, user)


class InDatabase:
    def __init__(self, where):
        self.where = where
        self.ledger = open_ledger(where)

    def entries(self):
        return books.entries(self.where)

    def in_force(self):
        """The view `request`, as rows."""
        columns = [REQUEST.c[name] for name in Row.__struct_fields__]
        found = [
            dict(zip(Row.__struct_fields__, values, strict=True))
            for values in books.query(self.where, select(*columns))
        ]
        for fields in found:
            fields |= {flag: bool(fields[flag]) for flag in ("unsettled", "estimated", "cut")}
        return {fields["settle_key"]: Row(**fields) for fields in found}

    def erase(self, tenant, user):
        database = open_database(self.where, writes=True)
        with database.transaction() as connection:
            erased = subjects.erase(connection, tenant, user)
        database.close()
        return erased


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "memory":
        store = InMemory()
    elif request.param == "sqlite":
        store = InDatabase(tmp_path / "ledger.sqlite")
    else:
        store = InDatabase(request.getfixturevalue("postgres").new_schema())
    yield store
    store.ledger.close()


@pytest.fixture
def ledger(store):
    return store.ledger


def given_up(key="s1", **members):
    return give_up(Origin(), read_entry(entry(key, **members)))


def correct(ledger, *rows):
    """Book rows in place of those that are in force."""
    keys = [row.settle_key for row in rows]
    ledger.commit(Change(rows=rows, replaced=ledger.rows(keys)))


def booked_rows(ledger, *keys):
    return {key: booked.row for key, booked in ledger.rows(keys).items()}


def test_rows_come_back_as_they_were(store, ledger):
    rows = {
        r.settle_key: r
        for r in (
            books.row("s1", groups="a,b", region="eu", track="canary", version="v2", n=2),
            close(Origin(), read_line(anonymous(), "f:0", START_MS)),
            books.row("s2", end("s2", status=0, flags="DC", usage=None)),
            given_up("s3"),
            Row(settle_key="s4", start_ms=-1, request_id="'\" é %s :x", prompt_tokens=2**24),
            Row(settle_key="s5", start_ms=0, uncached_pusd=2**62, own_pusd=2**62, tenant="null"),
        )
    }
    ledger.commit(Change(rows=rows.values()))
    assert booked_rows(ledger, *rows, "s9") == rows
    assert store.in_force() == rows
    assert ledger.rows(()) == {}


def test_many_keys_at_once(ledger):
    ledger.commit(Change(rows=books.rows(3)))
    found = ledger.rows([f"s{n}" for n in range(12_000)])
    assert set(found) == {"s0", "s1", "s2"}


def test_a_first_booking_cannot_happen_twice(store, ledger):
    ledger.commit(Change(rows=[books.row()], offsets={"a": 1}))
    with pytest.raises((IntegrityError, ValueError)):
        ledger.commit(Change(rows=[books.row("s2"), books.row()], offsets={"a": 2}))
    assert len(store.entries()) == 1
    assert ledger.offsets() == {"a": 1}
    ledger.commit(Change(rows=[books.row("s2")]))
    assert [books.named(e)["seq"] for e in store.entries()] == [1, 2]


def test_a_correction_is_a_reversal_and_a_new_entry(store, ledger):
    ledger.commit(Change(rows=[given_up(), books.row("s2")]))
    correct(ledger, books.row())
    assert store.in_force() == {"s1": books.row(), "s2": books.row("s2")}
    first, _, reversal, second = map(books.named, store.entries())
    assert [e["revision"] for e in (first, reversal, second)] == [0, 1, 2]
    assert [e["requests"] for e in (first, reversal, second)] == [1, -1, 1]
    assert [e["unsettled"] for e in (first, reversal, second)] == [1, -1, 0]
    assert [e["prompt_tokens"] for e in (first, reversal, second)] == [None, None, 7]
    correct(ledger, books.row(model="other"))
    third = [books.named(e) for e in store.entries()][-2:]
    assert [(e["revision"], e["prompt_tokens"], e["model"]) for e in third] == [
        (3, -7, "tiny"),
        (4, 7, "other"),
    ]
    assert [e["uncached_pusd"] for e in third] == [-5 * 150_000, 5 * 150_000]
    assert ledger.rows(["s1"])["s1"].revision == 4


def test_two_corrections_of_the_same_entry_cannot_both_happen(store, ledger):
    ledger.commit(Change(rows=[given_up()]))
    seen = ledger.rows(["s1"])
    ledger.commit(Change(rows=[books.row()], replaced=seen))
    if isinstance(store, InDatabase):
        with pytest.raises(IntegrityError):
            ledger.commit(Change(rows=[books.row(model="x")], replaced=seen))
    assert len(store.entries()) == 3


def test_entries_never_go_back_in_time(store, ledger):
    for key, now_ms in (("s1", 20), ("s2", 10), ("s3", 30)):
        ledger.commit(Change(rows=[books.row(key)], booked_ms=now_ms))
    assert [books.named(e)["booked_ms"] for e in store.entries()] == [20, 20, 30]


def test_commits_are_counted_and_a_late_one_is_refused(ledger):
    before = ledger.position()
    ledger.commit(Change(offsets={"a": 1}, after=before))
    assert ledger.position() == before + 1
    with pytest.raises(LedgerMovedError):
        ledger.commit(Change(rows=[books.row()], offsets={"a": 2}, after=before))
    assert ledger.position() == before + 1
    assert ledger.offsets() == {"a": 1}
    assert ledger.rows(["s1"]) == {}
    ledger.commit(Change(rows=[books.row()], after=before + 1))
    assert set(ledger.rows(["s1"])) == {"s1"}


def test_open_requests_and_offsets(ledger):
    departed = Open(read_entry(entry("s1")), 17.5)
    renewed = Open(read_line(periodic("s2", endpoint_labels={"gpu": "h"}), "f:0", START_MS), 18.5)
    ledger.commit(Change(opened={"s1": departed, "s2": departed}, offsets={"a": 1, "b": 2}))
    ledger.commit(Change(opened={"s2": renewed}, offsets={"a": 3}))
    assert ledger.open_requests() == {"s1": departed, "s2": renewed}
    assert ledger.offsets() == {"a": 3, "b": 2}
    ledger.commit(Change(closed=["s1", "unheard of"], forgotten=["b", "unheard of"]))
    assert ledger.open_requests() == {"s2": renewed}
    assert ledger.offsets() == {"a": 3}


def test_one_commit_closes_before_it_opens_and_forgets_last(ledger):
    """The settle process never asks for both at once; if it did, no request would be lost."""
    opened = Open(read_entry(entry("s1")), 1.0)
    change = Change(opened={"s1": opened}, closed=["s1"], offsets={"a": 1, "b": 2}, forgotten=["b"])
    ledger.commit(change)
    assert ledger.open_requests() == {"s1": opened}
    assert ledger.offsets() == {"a": 1}


def test_people_are_pseudonyms_one_for_each_tenant(store, ledger):
    ledger.commit(Change(rows=[books.row("s1"), books.row("s2")]))
    ledger.commit(Change(rows=[books.row("s3"), books.row("s4", tenant="globex")]))
    pseudonyms = [books.named(e)["user"] for e in store.entries()]
    assert pseudonyms[0] == pseudonyms[1] == pseudonyms[2] != pseudonyms[3]
    assert all(p.startswith("u-") and len(p) == 18 for p in pseudonyms)
    assert {r.user for r in store.in_force().values()} == {"u1"}


def test_an_erased_person_is_a_pseudonym_for_good(store, ledger):
    ledger.commit(Change(rows=[given_up("s1"), books.row("s2", tenant="globex")]))
    pseudonym = books.named(store.entries()[0])["user"]
    before = store.entries()
    assert store.erase("acme", "u1") == 1
    assert store.erase("acme", "u1") == 0
    assert store.entries() == before
    assert {r.settle_key: r.user for r in store.in_force().values()} == {
        "s1": pseudonym,
        "s2": "u1",
    }
    erased = ledger.rows(["s1"])["s1"]
    assert (erased.row.user, erased.pseudonym) == (pseudonym, pseudonym)
    correct(ledger, msgspec.structs.replace(erased.row, model="other"))
    assert [books.named(e)["user"] for e in store.entries()[2:]] == [pseudonym, pseudonym]
    ledger.commit(Change(rows=[books.row("s3")]))
    assert books.named(store.entries()[-1])["user"] not in (pseudonym, None)
    assert ledger.rows(["s3"])["s3"].row.user == "u1"
