from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.row import Row
from ledger.sqlite import SqliteLedger
from ledger.store import Change, LedgerError
from ledger.usage import DIMENSIONS, UsageError, UsageRow, parse_time, usage

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(**before):
    return round((NOON - timedelta(**before)).timestamp() * 1000)


@pytest.fixture
def store(tmp_path):
    """Write rows into a ledger and say where it is."""
    path = tmp_path / "ledger.sqlite"

    def write(*rows):
        ledger = SqliteLedger(path)
        ledger.commit(
            Change(rows=[Row(**{"settle_key": f"s{n}", **row}) for n, row in enumerate(rows)])
        )
        ledger.close()
        return path

    return write


def request(tenant="acme", model="tiny", minutes=5, **members):
    tokens = {"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4}
    row = {"tenant": tenant, "model": model, "start_ms": at(minutes=minutes), "status": 200}
    return {**row, **tokens, **members}


def test_sums_by_tenant_and_model_biggest_first(store):
    path = store(
        request(ttft_us=100_000),
        request(ttft_us=300_000),
        request("globex", prompt_tokens=1000),
        request(status=401, deny_reason="invalid_api_key", prompt_tokens=0, ttft_us=1),
        request(unsettled=True, prompt_tokens=None, completion_tokens=None, cached_tokens=None),
        request(None, None, prompt_tokens=0, completion_tokens=0, cached_tokens=None, status=503),
    )
    assert usage(path) == [
        UsageRow(("globex", "tiny"), 1, 1000, 1, 4, 0, 0, None, None),
        UsageRow(("acme", "tiny"), 4, 20, 3, 12, 1, 1, 100.0, 300.0),
        UsageRow((None, None), 1, 0, 0, 0, 0, 0, None, None),
    ]


def test_a_period_has_its_start_and_not_its_end(store):
    path = store(*(request(minutes=minutes) for minutes in (0, 10, 20, 30)))

    def requests(since, until):
        rows = usage(path, (), since, until)
        return rows[0].requests if rows else 0

    hour, ten = timedelta(hours=1), timedelta(minutes=10)
    assert requests(None, None) == 4
    assert requests(NOON - hour, NOON) == 3
    assert requests(NOON - 2 * ten, NOON - ten) == 1
    assert requests(NOON, None) == 1


def test_without_dimensions_it_is_one_sum(store):
    (row,) = usage(store(request(), request("globex")), by=())
    assert (row.group, row.requests) == ((), 2)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_every_dimension_groups(store, name):
    path = store(
        request(
            project="p",
            user="u",
            key_id="k",
            pool="l",
            endpoint="e",
            operation="chat",
            policy="h",
            deny_reason="d",
        )
    )
    (row,) = usage(path, by=[name])
    assert row.group[0] is not None
    if name in ("hour", "day"):
        assert row.group[0] in ("2026-01-31T11:00Z", "2026-01-31")


@pytest.mark.parametrize("by", [["colour"], ["tenant", "tenant"], ["tenant; DROP TABLE request"]])
def test_what_is_no_dimension_is_told_with_the_choices(store, by):
    with pytest.raises(UsageError, match="tenant"):
        usage(store(), by)


def test_no_ledger_is_told(tmp_path):
    with pytest.raises(LedgerError, match="no ledger"):
        usage(tmp_path / "ledger.sqlite")


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.integers(0, 10**7), min_size=1, max_size=60))
def test_percentiles_are_the_nearest_rank(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("usage") / "ledger.sqlite"
    ledger = SqliteLedger(path)
    rows = [Row(settle_key=str(n), start_ms=0, status=200, ttft_us=v) for n, v in enumerate(values)]
    ledger.commit(Change(rows=rows))
    ledger.close()
    (row,) = usage(path, by=())
    for share, found in ((0.50, row.ttft_p50_ms), (0.95, row.ttft_p95_ms)):
        below = sum(value < round(found * 1000) for value in values)
        up_to = sum(value <= round(found * 1000) for value in values)
        assert below < share * len(values) <= up_to


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("90s", NOON - timedelta(seconds=90)),
        ("30m", NOON - timedelta(minutes=30)),
        ("1h", NOON - timedelta(hours=1)),
        ("7d", NOON - timedelta(days=7)),
        ("2w", NOON - timedelta(weeks=2)),
        ("2026-01-30", NOON - timedelta(days=1, hours=12)),
        ("2026-01-31T11:30", NOON - timedelta(minutes=30)),
        ("2026-01-31T11:30Z", NOON - timedelta(minutes=30)),
        ("2026-01-31T12:30+01:00", NOON - timedelta(minutes=30)),
    ],
)
def test_times_people_write(text, time):
    assert parse_time(text, NOON) == time


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1y", "1.5h", "yesterday", "2026-13-01"])
def test_times_nobody_can_read(text):
    with pytest.raises(UsageError, match="1h, 7d"):
        parse_time(text, NOON)


def test_a_duration_before_the_calendar():
    with pytest.raises(UsageError, match="cannot read"):
        parse_time("999999w", NOON)
