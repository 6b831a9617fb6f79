"""Classes of a policy, compiled."""

import pytest
from pydantic import ValidationError

from extproc.limits.reach import DEFAULT
from extproc.policy.priorities import PriorityPolicy
from extproc.request import Identity, Kind, Model

LLAMA = Model("llama", "a100", "llama")


def test_what_is_said_of_a_class_arrives_there():
    written = {
        "name": "chat", "weight": 8, "tenants": ["acme"], "groups": ["dev"], "operations": ["chat"],
    }  # fmt: skip
    priority = PriorityPolicy.model_validate(written).priority()
    assert (priority.name, priority.weight, priority.tenants) == ("chat", 8, {"acme"})
    dev = Identity("acme", "k1", groups=frozenset({"dev", "ops"}))
    assert priority.covers(dev, LLAMA, Kind.CHAT)
    assert not priority.covers(dev, LLAMA, Kind.EMBEDDINGS)
    assert not priority.covers(Identity("acme", "k1"), LLAMA, Kind.CHAT)


def test_a_class_without_conditions_is_for_all_and_weighs_one():
    priority = PriorityPolicy(name="rest").priority()
    assert priority.covers(Identity("acme", "k1"), LLAMA, Kind.CHAT)
    assert (priority.weight, DEFAULT.weight) == (1, 1)


@pytest.mark.parametrize("weight", [0, -1, 1001, 1.5, "many"])
def test_what_is_no_weight(weight):
    with pytest.raises(ValidationError):
        PriorityPolicy(name="x", weight=weight)
