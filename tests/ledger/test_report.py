import csv
import io
import json
from datetime import UTC, datetime

import pytest

from ledger.report import UsageOptions, report_usage
from ledger.row import Row
from ledger.sqlite import SqliteLedger
from ledger.store import Change
from ledger.usage import UsageError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "ledger.sqlite"
    ledger = SqliteLedger(path)
    acme = {"tenant": "acme", "model": "tiny", "status": 200}
    tokens = {"prompt_tokens": 1_234_567, "completion_tokens": 89, "cached_tokens": 0}
    denied = {"status": 401, "deny_reason": "invalid_api_key", "prompt_tokens": 0}
    ledger.commit(
        Change(
            rows=[
                Row(settle_key="1", start_ms=NOW_MS - 60_000, **acme, **tokens, ttft_us=1_500_250),
                Row(settle_key="2", start_ms=NOW_MS - 60_000, **denied),
                Row(settle_key="3", start_ms=NOW_MS - 90_000_000, **acme),
            ]
        )
    )
    ledger.close()
    return path


def report(ledger, out=None, **options):
    out = io.StringIO() if out is None else out
    report_usage(UsageOptions(ledger, now=NOW, **options), out)
    return out.getvalue()


def test_a_table_in_plain_text(ledger):
    lines = [line.rstrip() for line in report(ledger).splitlines()]
    assert lines == [
        "tenant  model  requests     prompt  completion  cached  denied  unsettled  TTFT p50  p95 (ms)",
        "acme    tiny          1  1,234,567          89       0       0          0   1,500.2   1,500.2",
        "-       -             1          0           0       0       1          0         -         -",
        "total                 2  1,234,567          89       0       1          0",
    ]


def test_on_a_terminal_no_number_is_cut_short(ledger):
    text = report(ledger, Terminal())
    assert "1,234,567" in text
    assert "…" not in text


def test_json(ledger):
    answer = json.loads(report(ledger, form="json", by="tenant", since="1h"))
    assert answer["since"] == "2026-01-31T11:00:00Z"
    assert answer["until"] == "2026-01-31T12:00:00Z"
    assert answer["by"] == ["tenant"]
    assert answer["rows"][0] == {
        "tenant": "acme",
        "requests": 1,
        "prompt_tokens": 1_234_567,
        "completion_tokens": 89,
        "cached_tokens": 0,
        "denied": 0,
        "unsettled": 0,
        "ttft_p50_ms": 1500.25,
        "ttft_p95_ms": 1500.25,
    }
    assert answer["rows"][1]["tenant"] is None


def test_csv(ledger):
    first, second = csv.DictReader(io.StringIO(report(ledger, form="csv")))
    assert (first["tenant"], first["model"], first["prompt_tokens"]) == ("acme", "tiny", "1234567")
    assert (second["tenant"], second["denied"], second["ttft_p50_ms"]) == ("", "1", "")


def test_until(ledger):
    answer = json.loads(report(ledger, form="json", by="", since="2d", until="1d"))
    assert [row["requests"] for row in answer["rows"]] == [1]


def test_nothing_is_said_in_words(ledger):
    text = report(ledger, since="2d", until="47h")
    assert text == "no requests between 2026-01-29T12:00:00Z and 2026-01-29T13:00:00Z\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "tenant,colour"}, "'colour'; choose from tenant, project"),
        ({"since": "soon"}, "cannot read 'soon'"),
        ({"since": "1h", "until": "2h"}, "nothing lies between"),
    ],
)
def test_a_question_that_makes_no_sense(ledger, options, said):
    with pytest.raises(UsageError, match=said):
        report(ledger, **options)
