"""Made-up requests are such as Envoy and workers write, and are settled like any other."""

import time
from contextlib import closing

import pytest

from ledger.drill_load import TENANT, Load, Settling
from ledger.replay import settle
from ledger.sql import open_ledger
from ledger.store import LedgerError
from ledger.tables import REQUEST
from tests.ledger import books


def test_requests_are_booked_with_their_price(tmp_path):
    log, journals, where = tmp_path / "log" / "access.jsonl", tmp_path / "journal", tmp_path / "l"
    with Load(log, journals, 500) as load, Settling(where, log, journals):
        guard = time.monotonic() + 30
        while load.requests < 50:
            assert time.monotonic() < guard
            time.sleep(0.01)
    with closing(open_ledger(where)) as ledger:
        settle(log, journals, ledger)
    columns = REQUEST.c.tenant, REQUEST.c.prompt_tokens, REQUEST.c.completion_pusd
    rows = books.query(where, REQUEST.select().with_only_columns(*columns))
    assert len(rows) == load.requests
    assert set(rows) >= {(TENANT, 100, 30_000_000), (TENANT, 149, 30_000_000)}
    assert list(journals.iterdir()) == []


def test_a_fault_is_told_to_who_waits(tmp_path):
    (tmp_path / "l").mkdir()
    settling = Settling(tmp_path / "l", tmp_path / "access.jsonl", tmp_path / "journal")
    with pytest.raises(LedgerError), settling:
        pass
