"""What must hold between the sections of a policy."""

import pytest
from pydantic import ValidationError

from extproc.policy.models import Policy, repeated

DIGEST = "0" * 64
TENANT = {"name": "acme", "projects": ["support"]}
KEY = {"id": "k1", "digest": DIGEST, "tenant": "acme"}
POOL = {"name": "p", "endpoints": ["10.0.0.1:80"]}
MODEL = {"name": "m", "pool": "p"}
WHOLE = {"tenants": [TENANT], "keys": [KEY], "pools": [POOL], "models": [MODEL]}


def make(**sections):
    return Policy.model_validate({**WHOLE, **sections})


@pytest.mark.parametrize(
    ("sections", "place", "said"),
    [
        ({"tenants": [TENANT, {"name": "acme"}]}, ("tenants", 1, "name"), "'acme' stands twice"),
        ({"pools": [POOL, POOL]}, ("pools", 1, "name"), "'p' stands twice"),
        ({"models": [MODEL, MODEL]}, ("models", 1), "the name 'm' stands twice"),
        (
            {"models": [MODEL, {"name": "n", "pool": "p", "aliases": ["m"]}]},
            ("models", 1),
            "the name 'm' stands twice",
        ),
        (
            {"models": [{"name": "n", "pool": "p", "aliases": ["a", "a"]}]},
            ("models", 0),
            "the name 'a' stands twice",
        ),
        (
            {"keys": [KEY, {**KEY, "digest": "1" * 64}]},
            ("keys", 1, "id"),
            "'k1' stands twice",
        ),
        (
            {"keys": [KEY, {**KEY, "id": "k2"}]},
            ("keys", 1, "digest"),
            "'000000000000...' stands twice",
        ),
        (
            {"keys": [{**KEY, "tenant": "globex"}]},
            ("keys", 0, "tenant"),
            "there is no tenant 'globex'",
        ),
        (
            {"keys": [{**KEY, "project": "search"}]},
            ("keys", 0, "project"),
            "tenant 'acme' has no project 'search'",
        ),
        ({"keys": [{**KEY, "models": ["x", "*"]}]}, ("keys", 0, "models"), "there is no model 'x'"),
        ({"models": [{"name": "m", "pool": "q"}]}, ("models", 0, "pool"), "there is no pool 'q'"),
        ({"pools": []}, ("models", 0, "pool"), "there is no pool 'p'"),
        (
            {"pools": [{**POOL, "kv_events": {"port": 5557}}]},
            ("models", 0, "tokenizer"),
            "give its tokenizer.file, for pool 'p' has kv_events",
        ),
        (
            {
                "pools": [POOL, {**POOL, "name": "o", "engine": "ollama"}],
                "models": [
                    MODEL,
                    {
                        "name": "two",
                        "tracks": [
                            {"track": "stable", "pool": "p", "version": "1"},
                            {"track": "canary", "pool": "o", "version": "2"},
                        ],
                        "tokenizer": {"engine": True},
                    },
                ],
            },
            ("models", 1, "tokenizer", "engine"),
            "the engines of pool 'o' cannot be asked",
        ),
    ],
)
def test_what_points_nowhere_or_stands_twice(sections, place, said):
    assert list(make(**sections).dangling()) == [(place, said)]


def test_what_is_right():
    assert list(make().dangling()) == []


def test_all_mistakes_are_told_at_once():
    said = [said for _, said in make(tenants=[], pools=[]).dangling()]
    assert said == ["there is no pool 'p'", "there is no tenant 'acme'"]


def test_names_may_repeat_across_sections():
    same = make(tenants=[{"name": "p"}], keys=[{**KEY, "id": "p", "tenant": "p"}])
    assert list(same.dangling()) == []


@pytest.mark.parametrize("salt", ["", "short"])
def test_a_salt_has_eight_characters_at_least(salt):
    with pytest.raises(ValidationError):
        Policy(salt=salt)


def test_a_policy_never_changes():
    with pytest.raises(ValidationError):
        make().salt = "another salt"
    with pytest.raises(ValidationError):
        make().keys[0].tenant = "globex"


def test_a_version_is_given_by_who_loads():
    assert Policy().version == ""
    assert make().at("abc").version == "abc"


def test_projects_by_tenant():
    policy = make(tenants=[TENANT, {"name": "globex"}])
    assert policy.projects() == {"acme": {"support"}, "globex": frozenset()}


def test_every_repetition_is_found():
    assert [index for index, _ in repeated(["a", "b", "a", "a", "b"])] == [2, 3, 4]
    assert list(repeated([])) == []
