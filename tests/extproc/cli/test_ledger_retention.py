"""`headgate ledger trim` and `erase`, as they are typed."""

import json
import time
from contextlib import closing

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from extproc.cli.commands import COMMANDS, build
from ledger.config import Config, Retention, write_config
from ledger.erasure import FILE_NAME
from ledger.signing import PRIVATE_NAME
from ledger.tables import SUBJECT
from tests.ledger import books
from tests.ledger.archive import DAY_MS, Archive
from tests.ledger.gateway import Gateway


@pytest.fixture
def state(tmp_path):
    """Three days, ten days and forty days ago."""
    with closing(Archive(tmp_path / "ledger.sqlite", tmp_path)) as archive:
        archive.now_ms = round(time.time() * 1000) - 40 * DAY_MS
        archive.book("s1", "s2", user="alice")
        archive.book("s3", tenant=None, user=None)
        archive.book("s4", days=30, user="bob")
        archive.book("s5", days=7, user="bob")
        archive.sign()
    return tmp_path


def run(*arguments, answer=None):
    return CliRunner().invoke(build(COMMANDS), ["ledger", *map(str, arguments)], input=answer)


def seqs(state):
    return [entry[0] for entry in books.entries(state / "ledger.sqlite")]


def test_what_would_go(state):
    done = run("trim", "--before", "20d", "--dry-run", "--state", state)
    assert done.exit_code == 0, done.output
    assert "acme: 2 entries, 2 requests, 14 + 10 tokens" in done.output
    assert "(nobody known): 1 entries" in done.output
    assert "3 entries would be deleted" in done.output
    assert len(seqs(state)) == 5


def test_by_hand_one_is_asked(state):
    assert run("trim", "--before", "20d", "--state", state, answer="n\n").exit_code == 1
    assert len(seqs(state)) == 5
    done = run("trim", "--before", "20d", "--state", state, answer="y\n")
    assert "3 entries deleted, and 1 names; their sums stay" in done.output
    assert seqs(state) == [4, 5]
    done = run("verify", "--state", state)
    assert done.exit_code == 0, done.output
    assert "3 deleted by retention" in done.output


def test_as_the_policy_says(state):
    done = run("trim", "--state", state)
    assert (done.exit_code, "say --before" in done.output) == (1, True)
    write_config(state / "run" / "settle.json", Config(retention=Retention(5, by_hand=True)))
    found = json.loads(run("trim", "--json", "--state", state).output)
    assert found["tenants"][1]["entries"] == 3
    assert found["tenants"][1]["cost_usd"].startswith("0.0000")
    assert (found["people"], found["logs"], found["waits_for"], found["dry_run"]) == (
        1,
        [],
        None,
        False,
    )
    assert seqs(state) == [5]


def test_into_an_archive_first(state):
    archive = state / "archive"
    done = run("trim", "--before", "20d", "--yes", "--archive", archive, "--state", state)
    assert done.exit_code == 0, done.output
    assert len(list(archive.rglob("*.parquet"))) == 1
    assert seqs(state) == [4, 5]


@pytest.mark.parametrize(
    ("flags", "why"),
    [(("--before", "1h"), "for a day at least"), (("--before", "soon"), "cannot read")],
)
def test_what_is_not_done(state, flags, why):
    done = run("trim", "--state", state, *flags)
    assert done.exit_code == 1
    assert why in done.output


def test_without_the_key_nothing_can_be_deleted(state):
    (state / PRIVATE_NAME).unlink()
    done = run("trim", "--before", "20d", "--yes", "--state", state)
    assert done.exit_code == 1
    assert "must be signed for" in done.output


def erase(state, *flags, user="u1"):
    return run("erase", "--tenant", "acme", "--user", user, "--state", state, *flags)


@pytest.fixture
def gateway(tmp_path):
    with closing(Gateway(tmp_path / "state")) as gateway:
        gateway.serve(3)
        gateway.settle()
        gateway.serve(1)
        gateway.begin()
        yield gateway


def test_a_person_is_forgotten_everywhere(gateway):
    done = erase(gateway.state, "--by", "dpo")
    assert done.exit_code == 1  # nobody said yes
    done = erase(gateway.state, "--by", "dpo", "--yes")
    assert done.exit_code == 0, done.output
    assert "stands for nobody any more" in done.output
    assert "access.jsonl: taken out of 3 lines; in 1 it still stands" in done.output
    assert "journal/1-1-0.jsonl: 5 times; gone when its requests have ended" in done.output
    gateway.settle()
    done = json.loads(erase(gateway.state, "--yes", "--json").output)
    assert done["scrubbed"] == [{"file": "access.jsonl", "lines": 1, "unread": 0}]
    assert (done["running"], done["wiped"]) == (1, True)
    assert b'"u1"' not in gateway.log.read_bytes()
    audit = [json.loads(line) for line in (gateway.state / FILE_NAME).read_text().splitlines()]
    assert {each["by"] for each in audit} >= {"dpo"}
    assert [each["tenant"] for each in audit] == ["acme"] * 2
    assert books.query(gateway.where, select(SUBJECT)) == []
    assert gateway.faults() == ()


def test_nobody_of_that_name(gateway):
    done = erase(gateway.state, "--yes", user="nobody")
    assert (done.exit_code, "knows nobody" in done.output) == (1, True)


def test_no_ledger_is_a_clear_line(tmp_path):
    for done in (erase(tmp_path, "--yes"), run("trim", "--before", "9d", "--state", tmp_path)):
        assert done.exit_code == 1
        assert "ledger" in done.output
