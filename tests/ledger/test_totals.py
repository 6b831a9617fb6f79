import pytest
from sqlalchemy import event

from ledger.database import open_database
from ledger.question import Condition, UsageError
from ledger.rollup import SUMS, merge_histogram
from ledger.rollup import add_up as add_up_entries
from ledger.sql import open_ledger
from ledger.steps import Stretch
from ledger.store import Change
from ledger.tables import DIMENSIONS, QUARTER_MS
from ledger.totals import Wanted, add_up
from tests.ledger import books, naive

TENANT = DIMENSIONS.index("tenant")


@pytest.fixture
def ledger(where):
    ledger = open_ledger(where)
    rows = naive.make_rows(60, seed=3)
    ledger.commit(Change(rows=rows, booked_ms=1000))
    for row in naive.make_rows(10, seed=4):
        ledger.commit(Change(rows=[row], replaced=ledger.rows([row.settle_key]), booked_ms=2000))
    ledger.close()
    return where


def by_tenant(where, span=(None, None), **more):
    with books.reading(where) as connection:
        found = add_up(connection, Wanted(["tenant"], (), span, **more))
    return {values[0]: (tally.sums, count(tally)) for (_, values), tally in found.items()}


def expected(where, keep):
    """The same by `rollup.add_up`, which is how the writer adds up."""
    entries = [entry for entry in books.entries(where) if keep(books.named(entry))]
    found = {}
    for (dimensions, _), tally in add_up_entries(entries).items():
        sums, ttft = found.setdefault(dimensions[TENANT], ([0] * len(SUMS), {}))
        sums[:] = [a + b for a, b in zip(sums, tally.sums, strict=True)]
        merge_histogram(ttft, tally.ttft)
    return {
        tenant: (sums, {k: n for k, n in ttft.items() if n})
        for tenant, (sums, ttft) in found.items()
    }


def count(tally):
    return {slot: number for slot, number in tally.ttft.items() if number}


def test_whole_quarters_and_single_entries_say_the_same(ledger):
    begin = naive.ms(naive.BEGIN) + 86_400_000
    for since, until in (
        (begin, begin + 86_400_000),
        (begin, begin + 7),
        (begin, begin + QUARTER_MS),
    ):
        assert by_tenant(ledger, (since, until)) == expected(
            ledger, lambda entry, a=since, b=until: a <= entry["start_ms"] < b
        )
    assert by_tenant(ledger) == expected(ledger, lambda _: True)


def test_by_time_of_booking(ledger):
    assert by_tenant(ledger, booked=(1000, 2000)) == expected(
        ledger, lambda entry: entry["booked_ms"] < 2000
    )
    assert by_tenant(ledger, booked=(2000, None)) == expected(
        ledger, lambda entry: entry["booked_ms"] == 2000
    )


def test_the_most_places(ledger):
    assert len(by_tenant(ledger, most=3)) == 3
    with pytest.raises(UsageError, match="too many groups"):
        by_tenant(ledger, most=2)


@pytest.mark.parametrize(("share", "plan"), [(1, "SCAN usage_quarter"), (50, "usage_by_bucket")])
def test_sqlite_looks_for_few_quarters_by_time_only(share, plan, tmp_path):
    where = tmp_path / "ledger.sqlite"
    ledger = open_ledger(where)
    ledger.commit(Change(rows=naive.make_rows(50)))
    ledger.close()
    database, asked = open_database(where), []
    event.listen(database.engine, "before_cursor_execute", lambda *said: asked.append(said[2:4]))
    begin = naive.ms(naive.BEGIN) // QUARTER_MS * QUARTER_MS
    until = begin + naive.ms(naive.BEGIN + naive.SPAN / share) - naive.ms(naive.BEGIN)
    with database.transaction() as connection:
        add_up(connection, Wanted(["tenant"], (), (begin, until // QUARTER_MS * QUARTER_MS)))
        query, parameters = next(each for each in asked if "group_concat" in each[0])
        plans = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", parameters).all()
    database.close()
    assert any(plan in row[3] for row in plans)


def test_steps_of_unequal_width(ledger):
    begin = naive.ms(naive.BEGIN) // QUARTER_MS * QUARTER_MS
    pieces = [Stretch(begin, QUARTER_MS, 0), Stretch(begin + 4 * QUARTER_MS, 10**12, 4)]
    wanted = Wanted([], (Condition("tenant", ("acme",)),), (begin, None), pieces)
    with books.reading(ledger) as connection:
        found = add_up(connection, wanted)
    for (step, _), tally in found.items():
        low = begin + step * QUARTER_MS
        high = low + (QUARTER_MS if step < 4 else 10**12)
        assert (tally.sums, count(tally)) == expected(
            ledger, lambda entry, a=low, b=high: a <= entry["start_ms"] < b
        )["acme"]
    assert 4 in {step for step, _ in found}
