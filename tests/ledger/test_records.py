from datetime import UTC, datetime, timedelta, timezone

import pytest

from ledger.figures import Figures
from ledger.question import Question
from ledger.ranking import UsageRow
from ledger.records import cells, change, columns, record, total, write_time

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = Figures(
    requests=3, prompt_tokens=10, uncached_pusd=10**11, completion_pusd=1, ttft_p50_us=1500
)
BEFORE = Figures(requests=2, prompt_tokens=5)


def test_cells_have_their_columns():
    question = Question(
        by=("day", "tenant"), top=2, since=NOON - timedelta(1), until=NOON, compare=True
    )
    row = UsageRow(("2026-01-30", None), NOW, BEFORE, other=True)
    found = dict(
        zip([column.name for column in columns(question)], cells(question, row), strict=True)
    )
    assert (found["day"], found["tenant"], found["other"]) == ("2026-01-30", None, True)
    assert (found["cost_usd"], found["before_cost_usd"]) == (10**11 + 1, 0)
    assert found["before_requests"] == 2


def test_a_record_is_exact():
    found = record(Question(by=("tenant",)), UsageRow(("acme",), NOW))
    assert found["tenant"] == "acme"
    assert (found["cost_usd"], found["completion_usd"]) == ("0.100000000001", "0.000000000001")
    assert (found["ttft_p50_ms"], found["ttft_p95_ms"]) == (1.5, None)
    assert "other" not in found
    assert "change_tokens" not in found


def test_a_record_tells_what_changed():
    found = total(NOW, BEFORE)
    assert found["before_prompt_tokens"] == 5
    assert (found["change_requests"], found["change_tokens"], found["change_cost"]) == (
        0.5,
        1,
        None,
    )


@pytest.mark.parametrize(("now", "before", "part"), [(3, 2, 0.5), (0, 4, -1), (1, 0, None)])
def test_change(now, before, part):
    assert change(now, before) == part


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (None, None),
        (NOON, "2026-01-31T12:00:00Z"),
        (NOON.astimezone(timezone(timedelta(hours=1))), "2026-01-31T13:00:00+01:00"),
    ],
)
def test_times(time, text):
    assert write_time(time) == text
