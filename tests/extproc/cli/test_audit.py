"""`headgate audit`, on a store of its own, without a gateway."""

import json
import time

import pytest
from typer.testing import CliRunner

from audit.export import OVER_MS
from audit.journal import DIRECTORY
from audit.reading import list_journals
from extproc.cli.auditing import account, recording
from extproc.cli.commands import COMMANDS, build
from extproc.cli.layout import Layout
from ledger.config import Audit, Config, write_config
from tests.audit.stores import DAY_MS, auditing, entries, fill, roots_of, unguarded

WIDE = {"COLUMNS": "300"}


def run(state, *arguments, code=0):
    done = CliRunner().invoke(
        build(COMMANDS), ["audit", *map(str, arguments), "--state", str(state)], env=WIDE
    )
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.fixture
def state(tmp_path):
    """Thirty-three records, all of them years old."""
    fill(tmp_path / "audit.sqlite", tmp_path)
    return tmp_path


def test_verify_says_ok(state):
    assert (
        run(state, "verify").stdout == "ok: 33 records, 5 roots; 3 records wait for the next root\n"
    )
    assert json.loads(run(state, "verify", "--json").stdout) == {
        "ok": True, "records": 33, "roots": 5, "unsigned": 3, "trimmed": 0, "faults": []
    }  # fmt: skip


def test_verify_names_what_was_changed(state):
    db = unguarded(state / "audit.sqlite")
    db.execute("UPDATE audit_entry SET actor = 'nobody' WHERE seq = 8")
    db.close()
    said = run(state, "verify", code=1).stdout
    assert "record 8 (key.revoked): changed" in said


def test_verify_goes_by_your_own_copies(state, tmp_path_factory):
    mine = tmp_path_factory.mktemp("mine")
    for name in ("audit-roots.jsonl", "ledger-signing.pub"):
        (state / name).rename(mine / name)
    flags = ("--roots", mine / "audit-roots.jsonl", "--key", mine / "ledger-signing.pub")
    assert run(state, "verify", *flags).stdout.startswith("ok: 33 records")
    run(state, "verify", code=2)


@pytest.mark.parametrize("command", ["verify", "search", "trim"])
def test_nothing_there_is_a_line(tmp_path, command):
    done = run(tmp_path, command, code=2 if command == "verify" else 1)
    assert done.stderr.count("\n") == 1
    assert f"no audit records at {tmp_path}" in done.stderr


def test_search(state):
    table = run(state, "search", "--action", "key", "--actor", "key-1").stdout
    rows = [line for line in table.splitlines() if "key.revoked" in line]
    assert len(rows) == 3
    assert rows[0].strip().startswith("2025-10-09T08:53:20.001Z")
    hits = json.loads(run(state, "search", "--tenant", "acme", "--limit", "2", "--json").stdout)
    assert [(hit["seq"], hit["object"]) for hit in hits] == [(28, "rule-27"), (31, "rule-30")]
    assert run(state, "search", "--since", "1d").stdout == "no such records\n"
    assert "cannot read 'soon'" in run(state, "search", "--since", "soon", code=1).stderr


def test_search_tells_what_waits_and_is_not_fooled_by_names(state):
    with recording(state) as record:
        record.tell("key.added", "[red]\x1b[2Jbob")
    assert "1 more wait" in run(state, "search").stderr
    with auditing(state / "audit.sqlite", state) as audit:
        audit.collector.run()
    said = run(state, "search", "--actor", account()).stdout
    assert "[red]\ufffd[2Jbob" in said
    assert "\x1b" not in said


def test_export_and_its_proof(state, tmp_path):
    out = tmp_path / "out"
    assert run(state, "export", out).stdout == f"33 records in 5 files in {out}\n"
    assert "ok: 33 records in 5 files" in run(state, "verify", "--export", out).stdout
    again = json.loads(run(state, "export", out, "--json").stdout)
    assert (again["written"], again["files"], again["records"]) == ([], 5, 33)
    (out / "2025-10-09-0000.jsonl").unlink()
    assert "2025-10-09-0000.jsonl: missing" in run(state, "verify", "--export", out, code=1).stdout
    run(state, "export", out, code=0)


def test_a_wrong_directory_is_a_line(state, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "File exists" in run(state, "export", tmp_path / "file", code=1).stderr
    run(state, "verify", "--export", tmp_path / "none", code=1)


def test_trim_by_the_policy_with_an_archive(state, tmp_path):
    assert run(state, "trim", "--dry-run").stdout == "30 records would be deleted\n"
    archive = tmp_path / "archive"
    assert run(state, "trim", "--archive", archive, "--yes").stdout == "30 records deleted\n"
    assert "3 records, 6 roots; 30 deleted by retention" in run(state, "verify").stdout
    assert run(state, "verify", "--export", archive).exit_code == 0
    with auditing(state / "audit.sqlite", state) as audit:
        audit.collector.run()
    *_, last = entries(state / "audit.sqlite")
    assert (last["action"], last["actor"]) == ("audit.trimmed", account())
    assert json.loads(last["members"])["records"] == 30


def test_nothing_is_deleted_that_the_archive_has_not(state, tmp_path):
    archive = tmp_path / "archive"
    run(state, "export", archive)
    path = archive / "2025-10-11-0000.jsonl"
    path.chmod(0o600)
    path.write_text("spoiled")
    said = run(state, "trim", "--archive", archive, "--yes", code=1).stderr
    assert "nothing is deleted" in said
    assert len(entries(state / "audit.sqlite")) == 33


def test_a_person_is_asked(state):
    run(state, "trim", code=1)
    assert len(entries(state / "audit.sqlite")) == 33


def test_records_are_kept_as_long_as_the_policy_says(state):
    assert "180 days at least" in run(state, "trim", "--before", "179d", "--yes", code=1).stderr
    write_config(Layout(state).settle_config, Config(audit=Audit(10_000)))
    assert run(state, "trim", "--yes").stdout == "0 records deleted\n"
    assert "180 days" in run(state, "trim", "--before", "1d", "--yes", code=1).stderr
    write_config(Layout(state).settle_config, Config(audit=Audit(30)))
    assert run(state, "trim", "--before", "31d", "--yes").stdout == "30 records deleted\n"


def test_without_the_key_nothing_is_signed(state):
    (state / "ledger-signing.key").unlink()
    for command in (["trim", "--yes"], ["export", state / "out"]):
        assert "must be signed for" in run(state, *command, code=1).stderr


def test_a_command_is_recorded_before_anything_runs(tmp_path):
    now_ms = int(time.time() * 1000)
    with recording(tmp_path / "new") as record:
        record.tell("key.added", "bob", "acme", until="x")
    (name,) = list_journals(tmp_path / "new" / DIRECTORY)
    written = json.loads((tmp_path / "new" / DIRECTORY / name).read_text())
    assert 0 <= written["at_ms"] - now_ms < DAY_MS + OVER_MS
    assert written["members"] == {"until": "x"}
    assert roots_of(tmp_path) == []
