"""The normalised view. What whole policies become: `golden/good_*.txt`."""

from datetime import datetime
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from extproc.identity.keys import digest
from extproc.policy.models import Policy
from extproc.policy.show import as_yaml, normalise, plain, show

DIGEST = digest("headgate", "sk-1")
KEY = {"id": "k", "digest": DIGEST, "tenant": "acme"}


def make(**sections):
    return Policy.model_validate(sections)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (Decimal("0.100"), "0.1"),
        (Decimal("1E-9"), "0.000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal(100), "100"),
        (Decimal("0.0"), "0"),
        (datetime.fromisoformat("2026-01-01T01:00:00+01:00"), "2026-01-01T00:00:00Z"),
        (ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        (Path("/a/b"), "/a/b"),
        (("a", ("b",)), ["a", ["b"]]),
        ({1: (Decimal(1),)}, {"1": ["1"]}),
    ],
)
def test_values(value, shown):
    assert plain(value) == shown


def test_digests_are_shortened_where_people_look_and_whole_where_they_are_compared():
    policy = make(tenants=[{"name": "acme"}], keys=[KEY])
    assert normalise(policy)["keys"][0]["digest"] == DIGEST
    assert show(policy)["keys"][0]["digest"] == f"{DIGEST[:12]}..."
    assert DIGEST not in as_yaml(show(policy))


def test_the_version_comes_first():
    assert list(show(make().at("abc").model_copy())) == ["version", "salt"]


@pytest.mark.parametrize("models", [[], ["*"], ["m"]])
def test_an_empty_list_is_shown_where_it_says_something(models):
    """A key without models may use none; left out, it may use all."""
    assert normalise(make(keys=[{**KEY, "models": models}]))["keys"][0]["models"] == models


def test_two_spellings_of_a_model_are_one():
    one = {"name": "m", "pool": "p", "version": "2", "served_as": "org/m"}
    tracks = [{"track": "stable", "pool": "p", "version": "2", "served_as": "org/m"}]
    assert normalise(make(models=[one])) == normalise(
        make(models=[{"name": "m", "tracks": tracks}])
    )


def test_prompts_can_be_read():
    text = "You are kind.\n\nBe brief.\n"
    models = [{"name": "m", "pool": "p", "parameters": [{"system_prompt": text}]}]
    written = as_yaml(show(make(models=models)))
    assert "system_prompt: |\n" in written
    assert yaml.safe_load(written)["models"][0]["parameters"][0]["system_prompt"] == text
