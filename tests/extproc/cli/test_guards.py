"""`headgate guards`: what is said of a ban that may keep nobody out."""

import pytest

from extproc.cli.guards import doubts
from extproc.policy.status import StatusFile

POLICY = """
tenants: [{name: acme}]
keys: [{id: bot, digest: "%s", tenant: acme, user: alice}]
""" % ("a" * 64)


@pytest.fixture
def state(tmp_path):
    """Where a worker runs that heeds bans."""
    (tmp_path / "run").mkdir()
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "p.yaml").write_text(f"{POLICY}guards: {{refusals: {{}}}}")
    StatusFile.begin(tmp_path / "run", "unix:worker-0.sock", [tmp_path / "policy"], "v1")
    return tmp_path


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ("key:bot", None),
        ("address:192.0.2.7", None),
        ("user:acme/bob", None),
        ("key:bott", "knows a key 'bott'"),
        ("user:acme/alice", "banned by it: key:bot"),
    ],
)
def test_whom_it_does_not_keep_out(state, subject, said):
    told = list(doubts(state, subject))
    assert len(told) == (said is not None)
    assert all(said in each for each in told)


def test_who_does_not_heed_it(state):
    (state / "policy" / "p.yaml").write_text(POLICY)
    (told,) = doubts(state, "key:bot")
    assert "`guards: refusals`" in told


def test_where_no_worker_runs_no_key_is_unknown(tmp_path):
    (told,) = doubts(tmp_path, "key:bot")
    assert "`guards: refusals`" in told


def test_a_broken_policy_is_no_reason_to_doubt(state):
    (state / "policy" / "p.yaml").write_text("tenants: [")
    assert list(doubts(state, "key:nobody")) == []
