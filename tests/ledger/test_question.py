from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ledger.question import (
    Condition,
    Question,
    UsageError,
    parse_by,
    parse_time,
    parse_where,
    parse_zone,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"by": ("colour",)}, "no 'colour'; choose from tenant, project"),
        ({"by": ("groups",)}, "no 'groups'"),
        ({"by": ("tenant", "tenant")}, "each dimension once"),
        ({"by": ("tenant; DROP TABLE entry",)}, "choose from"),
        ({"by": ("hour", "day")}, "one of hour, day, week, month at a time"),
        ({"top": 0}, "top 1 to"),
        ({"top": 10**9}, "top 1 to"),
        ({"since": NOON, "until": NOON}, "nothing lies between"),
        ({"compare": True, "since": NOON}, "until when"),
    ],
)
def test_what_makes_no_sense_is_told_with_what_would(question, said):
    with pytest.raises(UsageError, match=said):
        Question(**question)


def test_time_stands_apart():
    question = Question(by=("tenant", "day", "model"))
    assert question.step == "day"
    assert question.dimensions == ("tenant", "model")
    assert Question().step is None


@pytest.mark.parametrize(
    ("text", "names"),
    [("tenant,model", ("tenant", "model")), (" day , user ,", ("day", "user")), ("", ())],
)
def test_dimensions_as_people_write_them(text, names):
    assert parse_by(text) == names


def test_conditions_as_people_write_them():
    texts = ["tenant=acme", "model!=a=b", "tenant=globex", "user=", "group!=x"]
    assert parse_where(texts) == (
        Condition("tenant", ("acme", "globex")),
        Condition("model", ("a=b",), negated=True),
        Condition("user", (None,)),
        Condition("group", ("x",), negated=True),
    )


@pytest.mark.parametrize(
    "text", ["tenant", "=acme", "day=monday", "colour=red", "status=ok", "Tenant=a"]
)
def test_conditions_nobody_can_read(text):
    with pytest.raises(UsageError):
        parse_where([text])


@pytest.mark.parametrize(
    ("text", "zone", "time"),
    [
        ("90s", UTC, NOON - timedelta(seconds=90)),
        ("30m", UTC, NOON - timedelta(minutes=30)),
        ("1h", UTC, NOON - timedelta(hours=1)),
        ("7d", UTC, NOON - timedelta(days=7)),
        ("2w", UTC, NOON - timedelta(weeks=2)),
        ("2026-01-30", UTC, NOON - timedelta(days=1, hours=12)),
        ("2026-01-30", BERLIN, NOON - timedelta(days=1, hours=13)),
        ("2026-01-31T11:30", UTC, NOON - timedelta(minutes=30)),
        ("2026-01-31T11:30Z", BERLIN, NOON - timedelta(minutes=30)),
        ("2026-01-31T12:30+01:00", UTC, NOON - timedelta(minutes=30)),
    ],
)
def test_times_people_write(text, zone, time):
    assert parse_time(text, NOON, zone) == time


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "h",
        "-1h",
        "1y",
        "1.5h",
        "yesterday",
        "2026-13-01",
        "999999w",
        "0001-01-01",
        "9999-12-31",
    ],
)
def test_times_nobody_can_read(text):
    with pytest.raises(UsageError, match="1h, 7d"):
        parse_time(text, NOON, BERLIN)


@pytest.mark.parametrize(("name", "zone"), [("UTC", UTC), ("utc", UTC), ("Europe/Berlin", BERLIN)])
def test_zones(name, zone):
    assert parse_zone(name) == zone


@pytest.mark.parametrize(
    "name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "Europe"]
)
def test_zones_that_do_not_exist(name):
    with pytest.raises(UsageError, match="Europe/Berlin"):
        parse_zone(name)
