"""What filters look things up in: models and rights. Identities: `test_identity_tables.py`."""

from extproc.access import Asked, tell
from extproc.policy.models import Policy
from extproc.policy.tables import access_table, model_table
from extproc.request import Identity, Model

ALLOW = {"groups": ["staff"], "models": ["m"]}
STABLE = {"track": "stable", "pool": "p", "version": "1"}
CANARY = {"track": "canary", "pool": "q", "version": "2", "weight": 5, "served_as": "org/new"}


def test_the_table_of_models():
    policy = Policy.model_validate(
        {
            "pools": [{"name": name, "endpoints": ["10.0.0.1:80"]} for name in "pq"],
            "models": [
                {"name": "m", "tracks": [STABLE, CANARY], "aliases": ["a", "org/b"]},
                {"name": "n", "pool": "p", "served_as": "org/n"},
            ],
        }
    )
    table = model_table(policy)
    assert list(table) == ["m", "a", "org/b", "n"]
    assert table["m"] is table["a"] is table["org/b"]
    assert [(share.model, share.weight) for share in table["m"].shares] == [
        (Model("m", "p", "m", "stable", "1"), 100),
        (Model("m", "q", "org/new", "canary", "2"), 5),
    ]
    assert table["n"].shares[0].model == Model("n", "p", "org/n", "stable", "1")
    assert model_table(Policy()) == {}


def test_the_table_of_rights():
    policy = Policy.model_validate(
        {
            "pools": [{"name": "p", "endpoints": ["10.0.0.1:80"]}],
            "models": [{"name": "m", "pool": "p"}],
            "access": {
                "allow": [{**ALLOW, "operations": ["chat"]}],
                "deny": [{"name": "nights", "when": "time.hour < 6", "message": "Sleep."}],
            },
        }
    )
    access = access_table(policy)
    staff = Identity("acme", "k", groups=frozenset({"staff"}))
    assert access.admits(staff, "m", "chat")
    assert not access.admits(staff, "m", "embeddings")
    assert not access.admits(Identity("acme", "k"), "m", "chat")
    veto = access.find_veto(tell(staff, Asked("chat", "m"), 0))
    assert (veto.name, veto.message) == ("nights", "Sleep.")
    assert access.find_veto(tell(staff, Asked("chat", "m"), 6 * 3600)) is None


def test_without_rules_all_is_open():
    access = access_table(Policy())
    assert access.admits(Identity("acme", "k"), "m", "chat")
    assert not access.has_vetoes
