"""`headgate ledger backup`, `restore` and `drill`, as they are typed."""

import json
from contextlib import closing

import pytest
from typer.testing import CliRunner

from extproc.cli.commands import COMMANDS, build
from tests.ledger.gateway import Gateway


@pytest.fixture
def gateway(tmp_path):
    with closing(Gateway(tmp_path / "state")) as gateway:
        gateway.serve(3)
        gateway.settle()
        gateway.sign()
        yield gateway


def run(*arguments):
    return CliRunner().invoke(build(COMMANDS), ["ledger", *map(str, arguments)])


def test_there_and_back(gateway, tmp_path):
    backups = tmp_path / "backups"
    for _ in range(3):
        done = run("backup", backups, "--keep", 2, "--state", gateway.state)
        assert done.exit_code == 0, done.output
    assert "3 entries" in done.output
    assert len(list(backups.glob("*Z"))) == 2
    gateway.serve(2)
    done = run("restore", backups, "--state", gateway.state)
    assert (done.exit_code, "another settle process" in done.output) == (1, True)
    gateway.settle()
    gateway.stop()
    before = gateway.rows()
    done = run("restore", backups, "--state", gateway.state)
    assert done.exit_code == 0, done.output
    assert "2 entries booked from the logs" in done.output
    assert "what was there is now ledger.sqlite.2" in done.output
    assert gateway.rows() == before
    assert gateway.faults() == ()


def test_for_programs(gateway, tmp_path):
    made = json.loads(run("backup", tmp_path / "b", "--json", "--state", gateway.state).output)
    assert (made["entries"], made["log"], len(made["unfinished"])) == (3, [], 1)
    other = tmp_path / "other"
    done = run("restore", made["backup"], "--json", "--state", other)
    found = json.loads(done.output)
    assert done.exit_code == 3
    assert (found["complete"], found["replayed"], found["own_key"]) == (False, 0, False)
    done = run("restore", made["backup"], "--state", other)
    assert "A log that the backup was reading is gone" in done.output


def test_a_moment_before_any_backup(gateway, tmp_path):
    run("backup", tmp_path / "b", "--state", gateway.state)
    done = run("restore", tmp_path / "b", "--at", "2020-01-01", "--state", tmp_path / "other")
    assert done.exit_code == 1
    assert "no backup from before that time" in done.output
    done = run("restore", tmp_path / "b", "--at", "then", "--state", tmp_path / "other")
    assert "cannot read 'then'" in done.output


@pytest.mark.parametrize("command", [("backup", "b"), ("restore", "b"), ("drill",)])
def test_postgresql_has_its_own_means(gateway, command, tmp_path):
    backups = tmp_path / "b"
    run("backup", backups, "--state", gateway.state)
    name, *rest = command
    flags = ("--ledger", "postgresql://me:secret@host/db", "--state", gateway.state)
    done = run(name, *(backups for _ in rest), *flags)
    assert done.exit_code == 1
    assert "pg_basebackup" in done.output
    assert "secret" not in done.output


def test_a_drill_measures_and_leaves_nothing(gateway):
    before = sorted(path.name for path in gateway.state.iterdir())
    done = run("drill", "--for", "0.6", "--state", gateway.state)
    assert done.exit_code == 0, done.output
    lost, whole, bare, verdict = done.output.splitlines()
    assert lost.startswith("lost under load, ")
    assert whole.startswith("ledger lost: RTO ")
    assert whole.endswith("; RPO 0 requests, 0.0 s")
    assert bare.startswith("ledger and log lost: RTO ")
    assert "RPO 0 requests" not in bare
    assert verdict.startswith("ok: ")
    assert sorted(path.name for path in gateway.state.iterdir()) == before
