import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from pyarrow import parquet

from ledger.question import UsageError
from ledger.report import UsageOptions, bill_of, report_usage, save_focus, save_parquet
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Change, LedgerError
from tests.ledger.naive import ms

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_MS = ms(NOW)
AFTER = timedelta(days=1)


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger = open_ledger(path)
    acme = {"tenant": "acme", "model": "tiny", "status": 200, "price": "1/1/1"}
    tokens = {"prompt_tokens": 1_234_567, "completion_tokens": 89, "cached_tokens": 0}
    cost = {"uncached_pusd": 1_234_567_000_000, "cached_pusd": 0, "completion_pusd": 89_000_000}
    denied = {"status": 401, "deny_reason": "invalid_api_key", "prompt_tokens": 0}
    rows = [
        Row(settle_key="1", start_ms=NOW_MS - 60_000, **acme, **tokens, **cost, ttft_us=1_500_250),
        Row(settle_key="2", start_ms=NOW_MS - 60_000, user="=1+1", **denied),
        Row(settle_key="3", start_ms=NOW_MS - 90_000_000, **acme, **tokens, **cost),
    ]
    ledger.commit(Change(rows=rows, booked_ms=NOW_MS))
    ledger.close()
    return path


def options(ledger, **more):
    return UsageOptions(ledger, now=NOW, **more)


def report(ledger, **more):
    out = io.StringIO()
    report_usage(options(ledger, **more), out)
    return out.getvalue()


def test_a_table(ledger):
    lines = report(ledger).splitlines()
    assert lines[0].split()[:3] == ["tenant", "model", "requests"]
    assert lines[1].split()[:4] == ["acme", "tiny", "1", "1,234,567"]
    assert lines[-1].startswith("total")


def test_json(ledger):
    answer = json.loads(report(ledger, form="json", by="tenant", since="1h"))
    assert answer["since"] == "2026-01-31T11:00:00Z"
    assert answer["until"] == "2026-01-31T12:00:00Z"
    assert (answer["by"], answer["tz"]) == (["tenant"], "UTC")
    first = answer["rows"][0]
    assert first.pop("ttft_p50_ms") == pytest.approx(1500, rel=0.05)
    assert first.pop("ttft_p95_ms") == pytest.approx(1500, rel=0.05)
    assert first == {
        "tenant": "acme",
        "requests": 1,
        "prompt_tokens": 1_234_567,
        "completion_tokens": 89,
        "cached_tokens": 0,
        "denied": 0,
        "unsettled": 0,
        "estimated": 0,
        "cut": 0,
        "unpriced": 0,
        "cost_usd": "1.234656",
        "uncached_usd": "1.234567",
        "cached_usd": "0",
        "completion_usd": "0.000089",
        "gpu_s": 0.0,
        "energy_j": 0.0,
        "own_usd": "0",
    }
    assert answer["rows"][1]["tenant"] is None
    assert answer["total"]["requests"] == 2


def test_csv(ledger):
    first, second = csv.DictReader(io.StringIO(report(ledger, form="csv", by="tenant,user")))
    assert (first["tenant"], first["prompt_tokens"]) == ("acme", "1234567")
    assert first["cost_usd"] == "1.234656"
    assert (second["tenant"], second["user"], second["denied"]) == ("", "'=1+1", "1")


def test_a_trend_has_no_holes(ledger):
    answer = json.loads(
        report(
            ledger, form="json", by="tenant", since="3d", step="day", zone="Asia/Kathmandu", top=1
        )
    )
    assert [(row["day"], row["tenant"], row["other"], row["requests"]) for row in answer["rows"]] == [
        ("2026-01-28", "acme", False, 0), ("2026-01-28", None, True, 0),
        ("2026-01-29", "acme", False, 0), ("2026-01-29", None, True, 0),
        ("2026-01-30", "acme", False, 1), ("2026-01-30", None, True, 0),
        ("2026-01-31", "acme", False, 1), ("2026-01-31", None, True, 1),
    ]  # fmt: skip


def test_compared_with_the_day_before(ledger):
    answer = json.loads(report(ledger, form="json", by="", since="24h", compare=True))
    (row,) = answer["rows"]
    assert (row["requests"], row["before_requests"], row["change_requests"]) == (2, 1, 1.0)
    assert answer["total"]["before_cost_usd"] == "1.234656"


def test_where_and_until(ledger):
    answer = json.loads(report(ledger, form="json", by="", since="2d", where=("status=401",)))
    assert answer["total"]["requests"] == 1
    answer = json.loads(report(ledger, form="json", by="", since="2d", until="1d"))
    assert answer["total"]["requests"] == 1


def test_parquet(ledger, tmp_path):
    assert save_parquet(options(ledger), tmp_path / "u.parquet") == 2
    assert [row["tenant"] for row in parquet.read_table(tmp_path / "u.parquet").to_pylist()] == [
        "acme",
        None,
    ]
    assert save_parquet(options(ledger, since="2d", until="47h"), tmp_path / "u.parquet") == 0
    assert parquet.read_table(tmp_path / "u.parquet").num_rows == 0


def test_focus_of_whole_days(ledger, tmp_path):
    path = tmp_path / "f.csv"
    asked = options(ledger, since="2026-01-30", until="2026-02-01", by="tenant,status")
    assert save_focus(asked, path, "Platform", AFTER) == 4
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert {row["ChargePeriodStart"] for row in rows} == {
        "2026-01-30T00:00:00Z",
        "2026-01-31T00:00:00Z",
    }
    assert {row["ProviderName"] for row in rows} == {"Platform"}
    assert {row["Tags"] for row in rows} == {'{"headgate/status":"200"}'}
    assert (
        save_focus(options(ledger, since="2026-01-01", until="2026-01-02"), path, "P", AFTER) == 0
    )
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"by": "tenant,colour"}, "'colour'; choose from tenant, project"),
        ({"since": "soon"}, "cannot read 'soon'"),
        ({"since": "1h", "until": "2h"}, "nothing lies between"),
        ({"zone": "Mars"}, "no time zone 'Mars'"),
        ({"where": ("x",)}, "cannot read 'x'"),
        ({"by": "day", "step": "hour"}, "say the step of time once"),
    ],
)
def test_a_question_that_makes_no_sense(ledger, more, said):
    with pytest.raises(UsageError, match=said):
        report(ledger, **more)


@pytest.mark.parametrize(
    ("more", "after", "said"),
    [
        ({"since": "1h"}, AFTER, "no whole day"),
        ({"step": "week"}, AFTER, "by hour or by day"),
        ({"by": "group"}, AFTER, "charged several times"),
        ({}, timedelta(days=28), "within 27 days"),
    ],
)
def test_a_bill_that_makes_no_sense(ledger, more, after, said):
    with pytest.raises(UsageError, match=said):
        bill_of(options(ledger, **more), after)


def test_no_ledger_is_told(tmp_path):
    with pytest.raises(LedgerError, match="no ledger"):
        report(tmp_path / "ledger.sqlite")
