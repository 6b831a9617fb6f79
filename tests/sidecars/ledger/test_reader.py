"""The line between tenants, in both databases; deadlines; a ledger that is away."""

import ast
import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

import sidecars.ledger
from ledger.question import Condition, Question
from sidecars.common.errors import Code, Refusal
from sidecars.common.identity import Identity
from sidecars.ledger.reader import Books, Listing, own_rows
from tests.sidecars.ledger.books import ACME, ALL, GLOBEX, MARKS, SUPPORT, row, rows, write

EVER = Listing(0, 2**62, (), {}, 1000)


def owners(books, identity, **changed):
    found = books.scoped(identity).requests(replace(EVER, **changed))
    return {(each["tenant"], each["project"]) for each in found}


def summed(books, identity, *where):
    """Who has a part in the sums that somebody sees."""
    answer = books.scoped(identity).usage(Question(by=("tenant", "project"), where=where))
    assert answer.total.requests == sum(row.figures.requests for row in answer.rows)
    return {row.group for row in answer.rows}


@pytest.fixture(params=["sqlite", "postgres"])
def books(request):
    where = request.getfixturevalue("ledger" if request.param == "sqlite" else "postgres_ledger")
    opened = Books(where)
    yield opened
    opened.close()


def test_everybody_sees_their_own(books):
    acme = {("aq7x-acme", "aq7x-support"), ("aq7x-acme", "aq7x-search")}
    globex = {("gz9k-globex", "gz9k-support"), ("gz9k-globex", "gz9k-search")}
    for seen in (owners, summed):
        assert seen(books, ACME) == acme
        assert seen(books, GLOBEX) == globex
        assert seen(books, SUPPORT) == {("aq7x-acme", "aq7x-support")}
        assert seen(books, ALL) == acme | globex | {(None, None)}


@pytest.mark.parametrize(
    "identity",
    [
        Identity("tenant", "other"),
        Identity("tenant", "AQ7X-ACME"),
        Identity("tenant", "aq7x-acme "),
        Identity("tenant", "aq7x%"),
        Identity("tenant", "' OR '1'='1"),
        Identity("tenant", "aq7x-acme'; DROP TABLE entry; --"),
        Identity("project", "aq7x-acme", "gz9k-support"),
        Identity("project", "gz9k-globex", "aq7x-support"),
        Identity("project", "aq7x-acme", "%"),
    ],
)
def test_nobody_else_sees_anything(books, identity):
    assert owners(books, identity) == summed(books, identity) == set()


NASTY = st.sampled_from(
    ["gz9k-globex", "aq7x-acme", "%", "_", "'", '"', "\\", "' OR 1=1 --", "gz9k-globex' --", "*"]
) | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
CONDITIONS = st.builds(
    Condition,
    st.sampled_from(["tenant", "project", "user", "group", "model", "operation"]),
    st.lists(st.none() | NASTY, min_size=1, max_size=3).map(tuple),
    st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(CONDITIONS, max_size=3),
    st.none() | st.tuples(st.integers(-(2**62), 2**62), NASTY),
)
def test_whatever_is_asked_for_others_stay_hidden(ledger, conditions, after):
    with contextlib.closing(Books(ledger)) as books:
        for identity, own in ((ACME, "acme"), (SUPPORT, "acme"), (GLOBEX, "globex")):
            tenant = f"{MARKS[own]}-{own}"
            seen = owners(books, identity, conditions=conditions, after=after)
            for owner, project in seen | summed(books, identity, *conditions):
                assert owner == tenant
                assert identity is not SUPPORT or project == "aq7x-support"


def test_a_users_name_is_a_text_like_any_other(books):
    def users(*values, negated=False):
        condition = Condition("user", values, negated)
        found = books.scoped(ALL).requests(replace(EVER, conditions=[condition]))
        return {each["user"] for each in found}

    everybody = users("", negated=True)
    assert len(everybody) == 6
    assert users("aq7x-user0", "gz9k-user1") == {"aq7x-user0", "gz9k-user1"}
    assert users(None) == {None}
    assert users(None, "aq7x-user0", negated=True) == everybody - {"aq7x-user0"}
    assert users("aq7x-user0", negated=True) == (everybody | {None}) - {"aq7x-user0"}


def test_groups_are_found_one_by_one(tmp_path):
    path = tmp_path / "ledger.sqlite"
    write(path, [row("acme", 1, groups="a,b"), row("acme", 2, groups="ab")])
    with contextlib.closing(Books(path)) as books:
        for group, count in (("a", 1), ("b", 1), ("ab", 1), ("A", 0), ("a,b", 1)):
            wanted = replace(EVER, conditions=[Condition("group", (group,))])
            assert len(books.scoped(ACME).requests(wanted)) == count


def test_an_identity_without_a_scope_that_we_know_sees_nothing():
    with pytest.raises(AssertionError):
        own_rows(Identity("everything", "acme"))


def test_nothing_else_opens_the_ledger():
    """A question that goes around `reader.py` would go around the line."""
    doors = {"ledger.database", "ledger.sqlite", "ledger.postgres", "ledger.sql", "ledger.totals"}
    doors |= {"sqlite3", "psycopg", "sqlalchemy", "ask"}
    for path in Path(sidecars.ledger.__file__).parent.glob("*.py"):
        if path.name == "reader.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not names & doors, path.name


def test_no_question_takes_for_ever(tmp_path, postgres_ledger):
    path = tmp_path / "ledger.sqlite"
    write(path, [row("acme", number) for number in range(4000)])
    slow = replace(EVER, conditions=[Condition("user", ("nobody",))])
    for where in (path, postgres_ledger):
        with contextlib.closing(Books(where, deadline_s=0.001)) as books:
            reader = books.scoped(ACME)
            with pytest.raises(Refusal) as refused:
                if where is path:
                    reader.requests(slow)
                else:
                    reader._ask(lambda connection: connection.execute(text("SELECT pg_sleep(9)")))
            assert refused.value.code is Code.TOO_SLOW
        with contextlib.closing(Books(where)) as books:
            assert books.scoped(ACME).requests(EVER)


def test_a_ledger_that_is_not_there_yet(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with contextlib.closing(Books(path)) as books:
        with pytest.raises(Refusal) as refused:
            owners(books, ACME)
        assert refused.value.code is Code.UNAVAILABLE
        assert str(path) not in refused.value.message
        write(path, rows())
        assert owners(books, ACME)


def test_what_is_no_ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"nonsense" * 1000)
    with contextlib.closing(Books(path)) as books, pytest.raises(Refusal) as refused:
        owners(books, ACME)
    assert refused.value.code is Code.UNAVAILABLE


def test_it_can_only_read(ledger):
    with contextlib.closing(Books(ledger)) as books:
        reader = books.scoped(ACME)
        with pytest.raises((Refusal, sqlite3.Error)):
            reader._ask(lambda connection: connection.execute(text("DELETE FROM subject")))
        assert owners(books, ACME)


def test_it_reads_while_somebody_writes(tmp_path):
    path = tmp_path / "ledger.sqlite"
    write(path, [row("acme", 1)])
    with contextlib.closing(Books(path)) as books, contextlib.closing(sqlite3.connect(path)) as db:
        owners(books, ACME)
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO source VALUES ('x', 1)")
        assert owners(books, ACME)
        db.rollback()
