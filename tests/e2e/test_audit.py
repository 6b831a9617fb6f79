"""What an operator does beside a running gateway is on record, and proved."""

import json
import shutil

from typer.testing import CliRunner

from extproc.cli.auditing import account
from extproc.cli.commands import COMMANDS, build
from tests.e2e.conftest import ROOT, wait_for


def headgate(gateway, *arguments):
    flags = ("--state", gateway.state)
    done = CliRunner().invoke(build(COMMANDS), [*map(str, (*arguments, *flags))])
    assert done.exit_code == 0, done.output
    return done.stdout


def find(gateway, *flags):
    """Records, once there are any. A gateway that has just begun may have no place for them yet."""

    def found():
        words = ("audit", "search", "--json", *flags, "--state", gateway.state)
        done = CliRunner().invoke(build(COMMANDS), [*map(str, words)])
        return done.exit_code == 0 and json.loads(done.stdout)

    return wait_for(found, what="the record")


def test_a_key_that_is_rotated_is_on_record_and_proved(gateway, tmp_path):
    policy = shutil.copytree(ROOT / "extproc" / "policy" / "demo", tmp_path / "policy")
    headgate(gateway, "keys", "rotate", "globex-1", "--policy", policy)
    wanted = ("--action", "key.rotated", "--object", "globex-1", "--since", "5m")
    *_, record = find(gateway, *wanted)
    assert (record["actor"], record["tenant"], record["outcome"]) == (account(), "globex", "done")
    assert headgate(gateway, "audit", "verify").startswith("ok: ")


def test_what_is_in_force_is_on_record(gateway):
    (loaded,) = find(gateway, "--action", "policy.loaded")
    with gateway.http() as http:
        assert http.get("/v1/models").status_code == 200
    assert loaded["object"] in headgate(gateway, "policy", "status", "--json")
