"""`headgate limits`: what is said when the policy on disk is broken, and workers serve an earlier one."""

import pytest
import typer
from typer.testing import CliRunner

from extproc.cli.guards import app as guards
from extproc.cli.limits import app as limits
from extproc.cli.limits import find_limits, report
from extproc.policy.status import StatusFile


@pytest.fixture
def state(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "p.yaml").write_text("tenants: [")
    StatusFile.begin(tmp_path / "run", "unix:worker-0.sock", [tmp_path / "policy"], "v1")
    return tmp_path


def test_what_is_on_disk_is_not_taken_for_what_is_in_force(state, capsys):
    with pytest.raises(typer.Exit):
        find_limits(state, None)
    said = capsys.readouterr().err
    assert f"{state}/policy/p.yaml:" in said
    assert "an earlier version: name its files with --policy" in said


def test_of_a_policy_that_was_named_only_the_mistake_is_told(state, capsys):
    with pytest.raises(typer.Exit):
        find_limits(state, [state / "policy"])
    assert "earlier" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["limit", "budget"])
def test_a_policy_without_limits_is_told_from_limits_nobody_used(kind, capsys):
    report([], False, kind, [])
    assert capsys.readouterr().out == f"the policy has no {kind}s\n"


def test_where_nothing_runs_it_is_said_what_to_look_at(tmp_path):
    done = CliRunner().invoke(guards, ["list", "--state", str(tmp_path)])
    assert done.exit_code == 1
    assert "is `headgate up` running there? See --state" in done.stderr


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (limits, ["reset", "calls", "--yes"]),
        (guards, ["ban", "key:bot"]),
        (guards, ["lift", "key:bot"]),
    ],
)
def test_a_mistyped_state_directory_is_not_made(app, words, tmp_path):
    mistyped = tmp_path / "stat"
    done = CliRunner().invoke(app, [*words, "--state", str(mistyped)])
    assert (done.exit_code, mistyped.exists()) == (1, False)
    assert done.stderr == f"there is no state directory {mistyped}: name it with --state\n"
