"""`headgate ledger verify`, as it is typed."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from extproc.cli.ledger import app
from ledger.roots import FILE_NAME
from ledger.signing import PUBLIC_NAME
from tests.ledger.test_verify import fill


@pytest.fixture
def state(tmp_path):
    fill(tmp_path / "ledger.sqlite", tmp_path)
    return tmp_path


def verify(state, *flags):
    return CliRunner().invoke(app, ["verify", "--state", str(state), *flags])


def tamper(state):
    db = sqlite3.connect(state / "ledger.sqlite")
    db.execute("DROP TRIGGER entry_is_final")
    db.execute("UPDATE entry SET prompt_tokens = 8 WHERE seq = 5")
    db.commit()
    db.close()


def test_what_nobody_touched(state):
    done = verify(state)
    assert done.exit_code == 0, done.output
    assert done.output == "ok: 42 entries in 3 chains, 5 roots; 4 entries wait for the next root\n"


def test_what_somebody_touched(state):
    tamper(state)
    done = verify(state)
    assert done.exit_code == 1
    assert "not as it was written" in done.output
    assert "chain globex, entry 5 (s4): its hash does not follow" in done.output


def test_for_programs(state):
    assert json.loads(verify(state, "--json").output)["ok"] is True
    tamper(state)
    done = verify(state, "--json")
    found = json.loads(done.output)
    assert (done.exit_code, found["ok"], found["entries"]) == (1, False, 42)
    assert {"chain": "globex", "seq": 5, "settle_key": "s4"}.items() <= found["faults"][0].items()


def test_copies_from_outside(state, tmp_path_factory):
    safe = tmp_path_factory.mktemp("safe")
    for name in (FILE_NAME, PUBLIC_NAME):
        (state / name).rename(safe / name)
    flags = ("--roots", str(safe / FILE_NAME), "--key", str(safe / PUBLIC_NAME))
    assert verify(state, *flags, "--ledger", str(state / "ledger.sqlite")).exit_code == 0


@pytest.mark.parametrize("gone", ["ledger.sqlite", PUBLIC_NAME])
def test_what_cannot_be_read_is_not_called_tampered(state, gone):
    (state / gone).unlink()
    done = verify(state)
    assert done.exit_code == 2
    assert gone in done.output


def test_a_state_directory_where_nothing_ran(tmp_path):
    done = verify(tmp_path / "s")
    assert (done.exit_code, "nothing has been settled there yet" in done.output) == (2, True)
