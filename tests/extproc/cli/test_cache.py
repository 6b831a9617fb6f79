"""`headgate cache`: which secrets it needs."""

import pytest
import typer

from extproc.cli.cache import find_policy

POLICY = """
pii: {key: {env: NOT_WHERE_THIS_IS_TYPED}, rules: [{types: {all: mask}}]}
cache: {key: {file: %s}}
"""


def written(tmp_path, key):
    (tmp_path / "p.yaml").write_text(POLICY % key)
    return [tmp_path]


def test_other_secrets_than_those_of_the_cache_need_not_be_there(tmp_path):
    key = tmp_path / "key"
    key.write_text("a-key-that-nobody-can-guess")
    policy = find_policy(tmp_path, written(tmp_path, key))
    assert policy.cache.key.reveal() == "a-key-that-nobody-can-guess"


def test_without_the_key_of_the_cache_nobody_is_found(tmp_path, capsys):
    with pytest.raises(typer.Exit):
        find_policy(tmp_path, written(tmp_path, tmp_path / "nothing"))
    assert "cache.key: the secret is not there" in capsys.readouterr().err
