"""The JSON Schema: current, complete, and of the same mind as the loader."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from extproc.policy.catalog import ModelPolicy
from extproc.policy.identities import KeyPolicy
from extproc.policy.models import Policy
from extproc.policy.schema import all_models, as_json, comments, policy_schema

ROOT = Path(__file__).parents[3]
SCHEMA = policy_schema()


def test_the_published_schema_is_current():
    published = (ROOT / "docs" / "policy.schema.json").read_text()
    assert published == as_json(SCHEMA), "run: python docs/tables.py"


def test_every_section_is_optional_and_none_is_unknown():
    assert set(SCHEMA["properties"]) == set(Policy.model_fields)
    assert "required" not in SCHEMA
    assert SCHEMA["additionalProperties"] is False


def test_every_model_is_strict():
    for model in all_models(Policy):
        if model is not Policy:
            assert SCHEMA["$defs"][model.__name__]["additionalProperties"] is False, model


def test_editors_show_the_comments_of_the_models():
    key = SCHEMA["$defs"]["KeyPolicy"]["properties"]
    assert key["id"]["description"] == "What logs and the ledger show in place of the key"
    assert comments(ModelPolicy)["name"] == "What clients call it"
    assert "tenant" not in comments(KeyPolicy), "what says nothing new has no comment"


def test_a_comment_on_the_last_line_of_a_long_field_counts():
    class Long(BaseModel):
        plain: int
        long: tuple[
            int,  # the first
            int,
        ] = (1, 2)  # and the second

    assert comments(Long) == {"long": "The first and the second"}


def test_names_of_members_are_not_told_twice():
    assert "title" not in SCHEMA["$defs"]["KeyPolicy"]["properties"]["id"]


@pytest.mark.parametrize("path", sorted((ROOT / "extproc/policy").rglob("*.yaml")))
def test_shipped_policies_tell_editors_where_it_is(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.partition("=")[2]).resolve() == ROOT / "docs/policy.schema.json"
