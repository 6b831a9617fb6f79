"""`headgate cache`: which secrets it needs."""

import pytest
import typer
from typer.testing import CliRunner

from extproc.cli.cache import app, find_policy

POLICY = """
pii: {key: {env: NOT_WHERE_THIS_IS_TYPED}, rules: [{types: {all: mask}}]}
cache: {key: {file: %s}}
"""


ACME = "tenants: [{name: acme}]"


def written(tmp_path, key):
    (tmp_path / "p.yaml").write_text(POLICY % key)
    return [tmp_path]


def test_other_secrets_than_those_of_the_cache_need_not_be_there(tmp_path):
    key = tmp_path / "key"
    key.write_text("a-key-that-nobody-can-guess")
    policy = find_policy(tmp_path, written(tmp_path, key))
    assert policy.cache.key.reveal() == "a-key-that-nobody-can-guess"


def test_a_mistyped_state_directory_is_not_made(tmp_path):
    (tmp_path / "p.yaml").write_text(ACME)
    mistyped = tmp_path / "stat"
    words = ["purge", "--tenant", "acme", "--policy", str(tmp_path), "--yes"]
    done = CliRunner().invoke(app, [*words, "--state", str(mistyped)])
    assert (done.exit_code, mistyped.exists()) == (1, False)
    assert done.stderr == f"there is no state directory {mistyped}: name it with --state\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tenant", "acmee"], "there is no tenant 'acmee'\n"),
        (["--tenant", "acme", "--model", "demmo"], "there is no model 'demmo'\n"),
    ],
)
def test_a_mistyped_name_is_not_taken_for_one_with_nothing_kept(words, said, tmp_path):
    (tmp_path / "p.yaml").write_text(ACME)
    done = CliRunner().invoke(app, ["purge", *words, "--policy", str(tmp_path), "--yes"])
    assert (done.exit_code, done.stderr) == (1, said)


def test_without_the_key_of_the_cache_nobody_is_found(tmp_path, capsys):
    with pytest.raises(typer.Exit):
        find_policy(tmp_path, written(tmp_path, tmp_path / "nothing"))
    assert "cache.key: the secret is not there" in capsys.readouterr().err
