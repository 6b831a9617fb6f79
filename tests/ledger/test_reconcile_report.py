import json
from contextlib import closing

import msgspec

from ledger.counters import Counters
from ledger.database import open_database
from ledger.lookbook import keep
from ledger.looks import Era, InFlight, Look, Sums
from ledger.reconcile_report import NOTHING, as_json, as_text, find, is_right
from ledger.sql import open_ledger
from tests.ledger.accounts import A, B

AT_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
TEXT = """\
10.0.0.1:8000, pool p, 2026-09-21 14:13 to 2026-09-21 19:13 UTC, 3 requests
tokens      engine  ledger  in flight  n > 1  aborts  retries  unknown  drift
prompt          50      50          0      0       0        0        0      0
completion       0       0          0      0       0        0        0      0

10.0.0.2:8000, pool p, 2026-09-21 14:13 to 2026-09-21 19:13 UTC, 3 requests
tokens      engine  ledger  in flight  n > 1  aborts  retries  unknown  drift
prompt           7       7          0      0       0        0        0      0
completion       0       0          0      0       0        0        0      0

Every token is accounted for."""


def look(hours, engine, booked, *, endpoint=A, era_hours=0, **sums):
    era_ms = AT_MS + era_hours * HOUR_MS
    era = Era(endpoint, "p", era_ms, era_ms, Counters(), 0)
    at_ms = AT_MS + hours * HOUR_MS
    return Look(era, at_ms, Counters(engine, 0), 9, Sums(3, booked, **sums), InFlight())


def found(tmp_path, looks, since_hours=None):
    where = tmp_path / "ledger.sqlite"
    since_ms = None if since_hours is None else round(AT_MS + since_hours * HOUR_MS)
    with closing(open_ledger(where)), closing(open_database(where, writes=True)) as database:
        with database.transaction() as connection:
            for each in looks:
                keep(connection, [each])
        with database.transaction() as connection:
            return find(connection, since_ms)


def test_nothing_was_compared_yet(tmp_path):
    assert as_text(found(tmp_path, [])) == NOTHING
    assert json.loads(as_json([])) == {"ok": True, "endpoints": []}


def test_since_the_engines_started(tmp_path):
    findings = found(tmp_path, [look(1, 10, 10), look(5, 50, 50), look(5, 7, 7, endpoint=B)])
    assert [(f.endpoint, f.prompt.engine, f.since_ms) for f in findings] == [
        (A, 50, AT_MS), (B, 7, AT_MS),
    ]  # fmt: skip
    assert is_right(findings)
    assert as_text(findings) == TEXT


def test_since_some_time_ago(tmp_path):
    (finding,) = found(tmp_path, [look(1, 10, 3), look(2, 20, 13), look(5, 50, 43)], since_hours=3)
    assert (finding.prompt.engine, finding.prompt.ledger) == (30, 30)
    assert finding.since_ms == AT_MS + 2 * HOUR_MS


def test_an_engine_that_is_younger_than_that_is_compared_from_its_beginning(tmp_path):
    """The first look that is kept is the last of its quarter of an hour: before it lies all that it has computed."""
    (finding,) = found(tmp_path, [look(1, 5010, 10), look(2, 5010, 10)], since_hours=-1)
    assert (finding.since_ms, finding.prompt.unknown) == (AT_MS, 5000)


def test_an_engine_that_started_anew_is_compared_in_parts(tmp_path):
    looks = [look(1, 10, 10), look(2, 20, 20), look(4, 5, 9, era_hours=3, lost_prompt_tokens=8)]
    first, second = found(tmp_path, looks, since_hours=0.5)
    assert (first.prompt.engine, first.prompt.drift) == (10, 0)
    assert (second.prompt.engine, second.prompt.drift, second.lost_tokens) == (5, 4, 8)
    text = as_text([first, second])
    assert "10.0.0.1:8000 never counted 4 tokens that are booked." in text
    assert "8 tokens were booked for an earlier run of the engine" in text


def test_what_is_missing_is_said(tmp_path):
    findings = found(tmp_path, [look(1, 5010, 10)])
    assert not is_right(findings)
    assert "10.0.0.1:8000 counted 5,000 tokens that nobody is billed for." in as_text(findings)
    document = json.loads(as_json(findings))
    assert not document["ok"]
    (endpoint,) = document["endpoints"]
    assert endpoint["prompt"]["unknown"] == 5000
    assert endpoint["unattributed"] == {"choices": 0, "aborts": 0, "retries": 0, "unknown": 5000}
    assert msgspec.json.decode(msgspec.json.encode(endpoint["completion"]))["engine"] == 0
