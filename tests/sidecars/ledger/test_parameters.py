"""Parameters: what they mean, and that nonsense is refused by name."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ledger.question import DIMENSIONS, Condition
from sidecars.common.errors import Refusal
from sidecars.common.identity import Identity
from sidecars.ledger.parameters import (
    Parameters,
    Period,
    RequestParameters,
    read_period,
)
from tests.sidecars.ledger.books import ACME, ALL, NOW

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("0s", NOW),
        ("12h", NOW - timedelta(hours=12)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-03-28", datetime(2026, 3, 27, 23, tzinfo=UTC)),
        ("2026-03-30", datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("2026-03-28T12:00", datetime(2026, 3, 28, 11, tzinfo=UTC)),
        ("2026-03-28T12:00Z", datetime(2026, 3, 28, 12, tzinfo=UTC)),
        ("2026-03-28T12:00+09:00", datetime(2026, 3, 28, 3, tzinfo=UTC)),
        ("2026-03-28T12:00 09:00", datetime(2026, 3, 28, 3, tzinfo=UTC)),
        ("2026-03-28T12:00:30.5 0900", datetime(2026, 3, 28, 3, 0, 30, 500_000, tzinfo=UTC)),
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("20260328", datetime(2026, 3, 27, 23, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_its_zone(text, meant):
    asked = Parameters(since=text, until="9999-01-01", tz="Europe/Berlin")
    assert read_period(asked, NOW).since_ms == round(meant.timestamp() * 1000)


@pytest.mark.parametrize(
    "text",
    [
        *("x", "1", "1y", "-1h", "1.5h", "9999999h", "999999w", "٣h", "2026-13-01"),
        *("2026-02-30", "0001-01-01", "9999-12-31T23:59-14:00", "1969-12-31", "2026-03-28 25"),
        *("now", "2026-03-28T25:00", "\x00", "2026-03-28T12:00+99:00"),
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(Refusal) as refused:
        read_period(Parameters(until=text), NOW)
    assert refused.value.param == "until"


@given(st.text(min_size=1, max_size=30))
def test_any_text_is_a_time_or_refused(text):
    refused = None
    try:
        assert read_period(Parameters(since=text), NOW)
    except Refusal as fault:
        refused = fault
    assert refused is None or refused.param == "since"


@pytest.mark.parametrize("name", ["", "Mars/Base", "../../etc/passwd", "Europe", "CET\x00"])
def test_what_is_no_zone(name):
    with pytest.raises(Refusal) as refused:
        read_period(Parameters(tz=name), NOW)
    assert refused.value.param == "tz"


def test_a_period_ends_now_unless_it_says_when():
    period = read_period(Parameters(since="1h", tz="Asia/Kolkata"), NOW)
    assert period.until_ms - period.since_ms == 3_600_000
    assert period.at(period.until_ms) == "2026-03-29T17:30:00.000+05:30"


@pytest.mark.parametrize("until", ["1h", "2h", "2020-01-01"])
def test_a_period_that_has_no_time_in_it(until):
    with pytest.raises(Refusal, match="nothing lies between") as refused:
        read_period(Parameters(since="1h", until=until), NOW)
    assert refused.value.param == "since"


def test_times_around_the_change_of_clocks():
    period = Period(0, 1, BERLIN, "Europe/Berlin")
    before = round(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC).timestamp() * 1000)
    assert period.at(before) == "2026-03-29T01:59:59.000+01:00"
    assert period.at(before + 1000) == "2026-03-29T03:00:00.000+02:00"


def test_filters():
    asked = RequestParameters(
        model=["a", ""], status=["200"], where=["status!=429", "user="], request_id=["r"]
    )
    assert asked.conditions(ACME) == (
        Condition("model", ("a", None)),
        Condition("status", ("200",)),
        Condition("status", ("429",), negated=True),
        Condition("user", (None,)),
    )
    assert asked.ids() == {"request_id": ["r"]}
    assert Parameters().conditions(ACME) == ()
    assert RequestParameters().ids() == {}


@pytest.mark.parametrize("where", ["", "x", "model", "modle=a", "status=x", "hour=1", "=a", "a=b"])
def test_what_is_no_filter(where):
    with pytest.raises(Refusal) as refused:
        Parameters(where=[where]).conditions(ACME)
    assert refused.value.param == "where"


def test_everything_that_can_be_grouped_by_can_be_filtered_by():
    assert set(DIMENSIONS) <= set(Parameters.model_fields)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"endpoint": ["10.0.0.1:8000"]}, "endpoint"),
        ({"where": ["endpoint=10.0.0.1:8000"]}, "where"),
        ({"where": ["endpoint!=10.0.0.1:8000"]}, "where"),
    ],
)
def test_what_tells_how_the_gateway_is_built_is_for_few(asked, param):
    assert Parameters(**asked).conditions(ALL)
    for who in (ACME, Identity("project", "acme", "p")):
        with pytest.raises(Refusal) as refused:
            Parameters(**asked).conditions(who)
        assert refused.value.param == param


@pytest.mark.parametrize(
    "given",
    [
        {"modle": ["a"]},
        {"model": ["a\x00"]},
        {"model": ["a" * 257]},
        {"model": ["a"] * 51},
        {"status": ["-1"]},
        {"status": ["1000"]},
        {"status": ["x"]},
        {"where": ["a=\x00"]},
        {"limit": 0},
        {"limit": 1001},
        {"format": "xml"},
        {"since": ""},
        {"tz": "x" * 65},
        {"cursor": "x" * 40_001},
    ],
)
def test_what_is_refused_at_once(given):
    with pytest.raises(ValidationError):
        RequestParameters(**given)
