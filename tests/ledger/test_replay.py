"""Logs are read on from where a ledger had read them, also from copies of them."""

import shutil
from contextlib import closing

import pytest

from ledger.database import open_database
from ledger.finished import read_offsets
from ledger.memory import MemoryLedger
from ledger.replay import first_line, recognise, settle
from ledger.store import LedgerUnavailableError
from ledger.tail import identify
from tests.ledger.gateway import Gateway
from tests.ledger.test_settle import MoodyLedger


@pytest.fixture
def gateway(tmp_path):
    with closing(Gateway(tmp_path / "state")) as gateway:
        yield gateway


def test_everything_is_settled(gateway):
    gateway.serve(7)
    ledger = MemoryLedger()
    settle(gateway.log, gateway.state / "journal", ledger, gateway.clock)
    assert len(ledger.all_rows()) == 7


def test_a_ledger_that_takes_nothing_is_given_up(gateway):
    ledger = MoodyLedger(MemoryLedger())
    ledger.full = True
    gateway.serve(1)
    with pytest.raises(LedgerUnavailableError, match="takes nothing"):
        settle(gateway.log, gateway.state / "journal", ledger, gateway.clock, pause_s=0)


def test_a_copy_is_known_as_what_it_is(gateway, tmp_path):
    gateway.serve(2)
    gateway.settle()
    gateway.stop()
    copies = tmp_path / "log"
    shutil.copytree(gateway.log.parent, copies)
    (copies / "access.jsonl.1").write_bytes(b"new\n")
    (copies / "access.jsonl.2").write_bytes(gateway.log.read_bytes()[:-1].split(b"\n")[0] + b"\n")
    with closing(open_database(gateway.where, writes=True)) as database:
        present = recognise(database, copies / "access.jsonl", tmp_path / "none")
        with database.transaction() as connection:
            offsets = read_offsets(connection)
        assert recognise(database, copies / "access.jsonl", tmp_path / "none") == present
    ids = {}
    for path in (gateway.log, *copies.iterdir()):
        with path.open("rb") as file:
            ids[path] = identify(file.fileno())
    assert offsets[ids[copies / "access.jsonl"]] == offsets[ids[gateway.log]]
    assert ids[copies / "access.jsonl.1"] not in offsets
    assert ids[copies / "access.jsonl.2"] not in offsets  # shorter than what was read: begins anew
    assert present == {first_line(id_) for path, id_ in ids.items()}
