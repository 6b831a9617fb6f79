"""The section on content: its defaults, and what is wrong with it."""

import pytest
from pydantic import ValidationError

from extproc.policy.models import Policy
from extproc.policy.moderation import ModerationPolicy, check_moderation
from extproc.safety.moderation.rules import Hold, Rule, Sampling
from extproc.safety.pii.own import MOST_PATTERNS, MOST_WORDS

KNOWN = {"tenants": {"acme"}, "models": {"demo"}}
SERVICE = {"name": "s", "kind": "guard_chat", "model": "g", "url": "http://127.0.0.1/v1"}


def policy(*rules, services=(SERVICE,)):
    return ModerationPolicy.model_validate({"rules": rules, "services": services})


def test_off_by_default():
    assert Policy().moderation == ModerationPolicy()
    assert not ModerationPolicy().compiled_rules()


def test_rules():
    [plain, full] = policy(
        {"name": "a", "words": ["x"]},
        {
            "name": "b", "service": "s", "where": "answer", "action": "tag", "categories": {"hate": 0.5},
            "hold": {"tokens": 8, "ms": 100}, "sampling": {"after_tokens": 512, "every": 4},
            "tenants": ["acme"], "models": ["demo"],
        },
    ).compiled_rules()  # fmt: skip
    assert plain == Rule("a", words=("x",))
    assert plain.threshold == 0.7
    assert full == Rule(
        "b", frozenset({"answer"}), "tag", service="s", categories={"hate": 0.5},
        hold=Hold(8, 100), sampling=Sampling(512, 4),
        tenants=frozenset({"acme"}), models=frozenset({"demo"}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"words": [" "]}, "no word"),
        ({"words": ["\u200b"]}, "no word"),
        ({"patterns": ["(a"]}, "no re2 pattern"),
        ({"patterns": ["^a"]}, "anchor"),
        ({"patterns": ["a*"]}, "everywhere"),
        ({"threshold": 1.5}, "less than or equal to 1"),
        ({"hold": {"tokens": 0}}, "greater than or equal to 1"),
        ({"categories": {"Hate!": 0.5}}, "pattern"),
        ({"action": "deny"}, "block"),
    ],
)
def test_wrong_values(rule, said):
    with pytest.raises(ValidationError, match=said):
        policy({"name": "a", **rule})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (policy({"name": "a"}), "looks for nothing"),
        (policy({"name": "a", "service": "t"}), "no service 't'"),
        (policy({"name": "a", "words": ["x"], "tenants": ["globex"]}), "no tenant 'globex'"),
        (policy({"name": "a", "words": ["x"], "models": ["x"]}), "no model 'x'"),
        (policy({"name": "a", "words": ["x"]}, {"name": "a", "words": ["x"]}), "stands twice"),
        (policy(services=(SERVICE, SERVICE)), "stands twice"),
        (policy(services=({**SERVICE, "model": None},)), "needs its `model`"),
        (
            policy({"name": "a", "words": [f"w{n}" for n in range(MOST_WORDS + 1)]}),
            f"more than {MOST_WORDS} words",
        ),
        (
            policy({"name": "a", "patterns": [f"w{n}" for n in range(MOST_PATTERNS + 1)]}),
            f"more than {MOST_PATTERNS} patterns",
        ),
    ],
)
def test_what_points_nowhere(found, said):
    [(place, message)] = check_moderation(found, KNOWN)
    assert place[0] == "moderation"
    assert said in message
